package qemu

import "runtime"

// An arch is what differs between the machines of this computer's kinds. A machine
// is of the kind that its computer is.
type arch struct {
	program string // the emulator
	machine string
	console string // the kernel's name of the serial port
	// cpu when it is emulated: every feature may be tried by some library, and vector
	// instructions are slower emulated than what they replace.
	cpu string
}

var arches = map[string]arch{
	"amd64": {program: "qemu-system-x86_64", machine: "q35,vmport=off", console: "ttyS0", cpu: "Nehalem"}, // of few features
	"arm64": {program: "qemu-system-aarch64", machine: "virt,gic-version=max", console: "ttyAMA0", cpu: "cortex-a72"},
}

// here is this computer's kind; of a kind that we do not know, the program does not
// exist, and its absence is said when it is started.
func here() arch {
	if a, ok := arches[runtime.GOARCH]; ok {
		return a
	}
	return arch{program: "qemu-system-" + runtime.GOARCH}
}

// Program is the emulator.
func Program() string { return here().program }
