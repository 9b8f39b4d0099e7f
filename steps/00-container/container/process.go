package container

import (
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// newProcess translates. What an exec does not repeat it does not get: a
// libcontainer process without these fields is root with all capabilities.
func newProcess(s *specs.Process, io Stdio) *libcontainer.Process {
	p := &libcontainer.Process{
		Args:            s.Args,
		Env:             s.Env,
		Cwd:             s.Cwd,
		UID:             int(s.User.UID),
		GID:             int(s.User.GID),
		NoNewPrivileges: &s.NoNewPrivileges,
		AppArmorProfile: s.ApparmorProfile,
		Label:           s.SelinuxLabel,
		ConsoleSocket:   io.Console,
		LogLevel:        warnings,
	}
	for _, gid := range s.User.AdditionalGids {
		p.AdditionalGroups = append(p.AdditionalGroups, int(gid))
	}
	if c := s.Capabilities; c != nil {
		p.Capabilities = &configs.Capabilities{
			Bounding: c.Bounding, Effective: c.Effective, Permitted: c.Permitted,
			Inheritable: c.Inheritable, Ambient: c.Ambient,
		}
	}
	for _, r := range s.Rlimits {
		if n, ok := rlimits[r.Type]; ok {
			p.Rlimits = append(p.Rlimits, configs.Rlimit{Type: n, Soft: r.Soft, Hard: r.Hard})
		}
	}
	if size := s.ConsoleSize; size != nil {
		p.ConsoleWidth, p.ConsoleHeight = uint16(size.Width), uint16(size.Height)
	}
	// A nil *os.File in an interface would not be nil.
	if io.In != nil {
		p.Stdin = io.In
	}
	if io.Out != nil {
		p.Stdout = io.Out
	}
	if io.Err != nil {
		p.Stderr = io.Err
	}
	return p
}

// warnings is logrus' level of that name. Left empty, the C stage would send us
// some forty debug messages for each process that starts.
const warnings = "3"

var rlimits = map[string]int{
	"RLIMIT_AS":         unix.RLIMIT_AS,
	"RLIMIT_CORE":       unix.RLIMIT_CORE,
	"RLIMIT_CPU":        unix.RLIMIT_CPU,
	"RLIMIT_DATA":       unix.RLIMIT_DATA,
	"RLIMIT_FSIZE":      unix.RLIMIT_FSIZE,
	"RLIMIT_LOCKS":      unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK":    unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE":   unix.RLIMIT_MSGQUEUE,
	"RLIMIT_NICE":       unix.RLIMIT_NICE,
	"RLIMIT_NOFILE":     unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC":      unix.RLIMIT_NPROC,
	"RLIMIT_RSS":        unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO":     unix.RLIMIT_RTPRIO,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_STACK":      unix.RLIMIT_STACK,
}
