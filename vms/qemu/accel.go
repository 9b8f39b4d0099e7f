package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// An Accel is how the machine's processor is made.
type Accel string

const (
	KVM Accel = "kvm" // this computer's own, by hardware virtualization
	TCG Accel = "tcg" // an emulated one
)

// options are those of -machine, -accel and -cpu. All emulated processors share one thread
// of qemu's. Linux changes its own code while it runs, to turn a feature of its scheduler on
// for the first container with a CPU limit, say, and with a thread for each, one processor
// may go on running what was there before, for ever and with a lock held. Seen with qemu
// 7.2, on a busy computer.
func (a Accel) options(kind arch) []string {
	accel, cpu := string(a), "host"
	if a == TCG {
		accel, cpu = accel+",thread=single", kind.cpu
	}
	return []string{"-machine", kind.machine, "-accel", accel, "-cpu", cpu}
}

// probeLimit is generous: hardware boots the probe in under a second.
const probeLimit = 15 * time.Second

// Choose returns KVM when a machine boots with it, and else TCG, with the reason.
// That /dev/kvm is there proves nothing: it may serve other kinds of guests only,
// or not let this user in. The answer is kept in a file beside the image, until
// this computer boots again.
func Choose(ctx context.Context, kernel, initrd string) (Accel, string, error) {
	file := filepath.Join(filepath.Dir(initrd), "accel.json")
	bootID, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	known := answer{Boot: strings.TrimSpace(string(bootID)), User: os.Geteuid()}
	if kept, ok := recall(file, known); ok {
		return kept.Accel, kept.Why, nil
	}
	known.Accel, known.Why = KVM, "a probe booted with it"
	if err := probe(ctx, kernel, initrd); err != nil {
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		known.Accel, known.Why = TCG, "no hardware virtualization: "+err.Error()
	}
	return known.Accel, known.Why, known.write(file)
}

// An answer holds for one boot of this computer, and one user.
type answer struct {
	Boot  string
	User  int
	Accel Accel
	Why   string
}

func recall(file string, now answer) (answer, bool) {
	var kept answer
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &kept) != nil {
		return kept, false
	}
	return kept, kept.Boot == now.Boot && kept.User == now.User
}

func (a answer) write(file string) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

func probe(ctx context.Context, kernel, initrd string) error {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.Close()
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	var console bytes.Buffer
	p, err := Start(Config{Name: "groundup-probe", Kernel: kernel, Initrd: initrd, Mode: Probe, Accel: KVM, Memory: 256, CPUs: 1}, &console)
	if err != nil {
		return err
	}
	defer p.Kill()
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("a probe with /dev/kvm did not boot within %s", probeLimit)
	}
	if !strings.Contains(console.String(), ProbeAnswer) {
		return errors.Join(errors.New("a probe with /dev/kvm did not boot"), p.Err())
	}
	return nil
}
