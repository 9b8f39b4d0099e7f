// Package machine gives a program a throw-away Linux machine to run commands in:
// the image booted by qemu, with an agent at the other end of the wire.
//
//	m, err := machine.Boot(ctx, machine.Config{Image: img, Accel: qemu.TCG})
//	defer m.Close()
//	code, err := m.Run(ctx, machine.Command{Args: []string{"uname", "-r"}, Stdout: os.Stdout})
//
// What a machine writes is lost with it, unless Config.Disk keeps it. Time limits of what runs in it are to be
// stretched by [Machine.Factor].
package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/k8s-groundup/groundup/vms/image"
	"github.com/k8s-groundup/groundup/vms/pace"
	"github.com/k8s-groundup/groundup/vms/qemu"
	"github.com/k8s-groundup/groundup/vms/wire"
)

// A Config says what to boot.
type Config struct {
	Image    image.Image
	Accel    qemu.Accel
	Systemd  bool   // boot Debian as it is, not only the agent
	Hostname string // "groundup" if empty
	Memory   int    // MiB; 2048 if zero
	CPUs     int    // 2 if zero

	// Files is a folder whose content the machine finds in Mount, to change as it
	// likes. The folder itself is only read; if it is Temporary, it is removed as
	// soon as the machine has its copy.
	Files     string
	Mount     string
	Temporary bool

	// Disk is a file that keeps what the machine writes, for its next boot; it is
	// made if there is none. Empty: what the machine writes is lost with it.
	Disk string
	Lock *os.File // if not nil, the machine has it open as long as it lives

	Network *Network  // nil: none but lo
	Console io.Writer // what the machine says on its serial port; may be nil

	// Build answers the machine's go commands; nil refuses them.
	Build BuildFunc
}

// A Network connects machines of one host.
type Network struct {
	Port    int    // the same one for all that are connected
	Number  int    // of this machine: 1, 2, …
	Address string // for eth0, with its prefix length
}

// bootLimit is for a computer that is busy and emulates.
const bootLimit = 4 * time.Minute

// A Machine that runs.
type Machine struct {
	conf    Config
	process *qemu.Process
	conn    *wire.Conn
	dir     string // temporary files
	booted  time.Duration
	factor  float64
	kernel  string

	mu    sync.Mutex                // guards the fields below
	runs  map[int]chan wire.Message // Data and Exit of each run
	ready chan wire.Ready           // of the setup that is under way
	next  int
	group sync.WaitGroup // of the reader and the builds
}

// Boot starts a machine and returns when it takes commands. The caller closes it.
func Boot(ctx context.Context, c Config) (*Machine, error) {
	c = c.withDefaults()
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("the machine did not boot within %s", bootLimit))
	defer cancel()
	m := &Machine{conf: c, runs: map[int]chan wire.Message{}, ready: make(chan wire.Ready, 1)}
	if err := m.boot(ctx); err != nil {
		m.Close()
		return nil, fmt.Errorf("boot: %w", err)
	}
	m.booted = time.Since(start)
	return m, nil
}

func (c Config) withDefaults() Config {
	if c.Memory == 0 {
		c.Memory = 2048
	}
	if c.CPUs == 0 {
		c.CPUs = 2
	}
	if c.Hostname == "" {
		c.Hostname = "groundup"
	}
	if c.Console == nil {
		c.Console = io.Discard
	}
	return c
}

func (m *Machine) boot(ctx context.Context) (err error) {
	if m.dir, err = os.MkdirTemp("", "groundup-vm-"); err != nil {
		return err
	}
	q, err := m.qemuConfig(ctx)
	if err != nil {
		return err
	}
	if m.process, err = qemu.Start(q, m.conf.Console); err != nil {
		return err
	}
	m.conn = wire.NewConn(m.process.Agent)
	m.group.Go(m.read)
	if err := m.Setup(ctx); err != nil {
		return err
	}
	// qemu has opened the disk: from here on nothing of ours has a name.
	return os.RemoveAll(m.dir)
}

func (m *Machine) qemuConfig(ctx context.Context) (qemu.Config, error) {
	c := m.conf
	q := qemu.Config{
		Name: "groundup-" + c.Hostname, Kernel: c.Image.Kernel, Initrd: c.Image.Initrd, Root: c.Image.Root,
		Mode: qemu.Command, Accel: c.Accel, Memory: c.Memory, CPUs: c.CPUs,
	}
	if c.Systemd {
		q.Mode = qemu.Systemd
	}
	if c.Disk != "" {
		q.Root, q.Keep, q.Lock = c.Disk, true, c.Lock
		if err := makeOverlay(ctx, c.Disk, c.Image.Root); err != nil {
			return q, err
		}
	}
	if c.Network != nil {
		q.Cable = &qemu.Cable{Port: c.Network.Port, MAC: fmt.Sprintf("52:54:00:67:00:%02x", c.Network.Number)}
	}
	if c.Files != "" {
		q.Disk = filepath.Join(m.dir, "disk.img")
		if err := makeDisk(ctx, q.Disk, c.Files); err != nil {
			return q, err
		}
		if c.Temporary {
			if err := os.RemoveAll(c.Files); err != nil {
				return q, err
			}
		}
	}
	return q, nil
}

// Setup tells the machine who it is and what time it is. Boot has done it; it is
// done again after a restore.
func (m *Machine) Setup(ctx context.Context) error {
	nonce := m.number()
	s := wire.Setup{Nonce: nonce, Time: time.Now(), Hostname: m.conf.Hostname, Path: agentPath(m.conf)}
	if m.conf.Files != "" {
		s.Mount = m.conf.Mount
	}
	if m.conf.Network != nil {
		s.Address = m.conf.Network.Address
	}
	here := pace.Measure()
	if err := m.conn.Send(wire.Message{Setup: &s}); err != nil {
		return err
	}
	for {
		select {
		case r := <-m.ready:
			if r.Nonce != nonce {
				continue
			}
			m.factor, m.kernel = pace.Factor(here, r.Pace), r.Kernel
			if r.Error != "" {
				return errors.New(r.Error)
			}
			return nil
		case <-m.process.Done():
			return m.ended()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ended is the error of a machine that is no more.
func (m *Machine) ended() error {
	if err := m.process.Err(); err != nil {
		return fmt.Errorf("the machine has ended: %w", err)
	}
	return errors.New("the machine has powered off")
}

// Booted is how long the machine took from nothing to its first command.
func (m *Machine) Booted() time.Duration { return m.booted }

// Factor is how many times slower than this computer the machine is.
func (m *Machine) Factor() float64 { return m.factor }

// Kernel is the machine's release of Linux.
func (m *Machine) Kernel() string { return m.kernel }

// Done is closed when the machine has ended, by itself or by Close.
func (m *Machine) Done() <-chan struct{} { return m.process.Done() }

// Rebooted says, after Done, whether a machine with a Disk has ended in order to
// boot again: the caller closes it and boots another one with the same Config.
func (m *Machine) Rebooted() bool { return m.process.Rebooted() }

// Save keeps the machine's state, so that Restore is a quick reset. Nothing may
// run in the machine. It costs what the machine has touched of its memory.
func (m *Machine) Save(name string) error { return m.process.Save(name) }

// Restore sets the machine back to a saved state and its clock to the present.
// Commands that run are forgotten.
func (m *Machine) Restore(ctx context.Context, name string) error {
	if err := m.process.Restore(name); err != nil {
		return err
	}
	m.forget(errors.New("the machine has been set back"))
	return m.Setup(ctx)
}

// Close pulls the plug and returns when nothing of the machine is left. It may
// be called again.
func (m *Machine) Close() {
	if m.process != nil {
		m.process.Kill()
	}
	m.group.Wait()
	if m.dir != "" {
		_ = os.RemoveAll(m.dir) // it has gone already when the machine had booted
	}
}

func (m *Machine) number() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	return m.next
}
