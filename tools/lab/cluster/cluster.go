// Package cluster starts, changes and removes the learner's cluster.
//
// What is wanted, a step and a number of nodes, is written down first; then
// everything on this machine is made to agree with it, part by part, each part
// safe to repeat. So an interrupted up is finished by the next one, and down
// finds all there is to remove: in the home directory and under fixed names.
package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/k8s-groundup/groundup/tools/lab/fabric"
	"golang.org/x/sys/unix"
)

// DefaultHome is where a cluster's state is, unless GROUNDUP_HOME says
// otherwise.
const DefaultHome = "/var/lib/groundup"

// ErrNone is returned when no cluster is up.
var ErrNone = errors.New("no cluster is up: start one with `lab up`")

// A Cluster is the state directory of one cluster. One process at a time has it
// open for change.
type Cluster struct {
	Home string
	// Report, when set, hears of every part of the work as it begins; it
	// returns what to call at its end.
	Report func(what string) (done func(error))

	lock *os.File
}

// A State is what is wanted, and what [fabric.Remove] has to know.
type State struct {
	Step          int         `json:"step"`
	Nodes         int         `json:"nodes"`
	Plan          fabric.Plan `json:"plan"`
	ForwardWasOff bool        `json:"forwardWasOff,omitempty"`
	Host          *Host       `json:"host,omitempty"` // nil: nodes are boxes
}

// numbers are those of the nodes that are on this machine.
func (s State) numbers() []int {
	if s.Host != nil {
		return []int{s.Host.Number}
	}
	all := make([]int, s.Nodes)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// ip is the address of node n.
func (s State) ip(n int) string {
	if s.Host != nil {
		return s.Host.IP
	}
	return s.Plan.Node(n).String()
}

// controlPlane is the first node's address.
func (s State) controlPlane() string {
	if s.joined() {
		return s.Host.ControlPlane
	}
	return s.ip(1)
}

// joined says whether the control plane is on another machine.
func (s State) joined() bool { return s.Host != nil && s.Host.ControlPlane != "" }

// Gateway is this machine's address as its nodes see it.
func (s State) Gateway() string {
	if s.Host != nil {
		return s.Host.IP
	}
	return s.Plan.Gateway().String()
}

// Home is the state directory that the environment asks for. However it is written
// there, it has one name here: the cgroups' is made from it, and the nodes see it
// from another working directory.
func Home() string {
	h := os.Getenv("GROUNDUP_HOME")
	if h == "" {
		return DefaultHome
	}
	if abs, err := filepath.Abs(h); err == nil {
		return abs
	}
	return h // this process's working directory has gone: opening anything there will say so
}

// Lock makes this process the only one that changes the cluster, or says that
// another is at it.
func (c *Cluster) Lock() (err error) {
	for range 100 {
		c.lock, err = c.tryLock()
		// A down may remove the file, or the directory, between any two steps of ours.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return err
}

func (c *Cluster) tryLock() (*os.File, error) {
	if err := os.MkdirAll(c.Home, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(c.path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is locked: another `lab up` or `lab down` is at work; wait for it to end", c.Home)
	}
	if !sameFile(f, c.path("lock")) {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", c.Home, fs.ErrNotExist)
	}
	return f, nil
}

func sameFile(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}

// Unlock lets the next one in.
func (c *Cluster) Unlock() {
	if c.lock != nil {
		c.lock.Close()
		c.lock = nil
	}
}

func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.Home}, parts...)...)
}

// State returns what is wanted of the cluster, or [ErrNone].
func (c *Cluster) State() (State, error) {
	var s State
	b, err := os.ReadFile(c.path("cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, ErrNone
	} else if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read %s: %w", c.path("cluster.json"), err)
	}
	return s, nil
}

func (c *Cluster) save(s State) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(c.path("cluster.json"), append(b, '\n'), 0o644)
}

// replaceFile writes a file so that a reader, and a power cut, find the old
// content or the new one.
func replaceFile(path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(mode), f.Sync()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// replaceChanged is replaceFile for a file that may be so already.
func replaceChanged(path string, content []byte, mode fs.FileMode) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, content) {
		return nil
	}
	return replaceFile(path, content, mode)
}

// do runs one part of the work under its name.
func (c *Cluster) do(what string, work func() error) error {
	done := func(error) {}
	if c.Report != nil {
		done = c.Report(what)
	}
	err := work()
	done(err)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
