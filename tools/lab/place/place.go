// Package place is where a cluster runs when that is not this computer: in virtual
// machines, by qemu, by Lima or by Vagrant.
//
// Each machine has the repository with all that is built, and becomes a node by
// `lab up --on host` inside (package host); all but the first join the first one's
// control plane. Every other lab command is
// run where the cluster is, as ssh would do it: so they all work alike, wherever
// that may be. Which place it is, is written down in the home directory.
package place

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Place has machines, counted from 1. None of it needs root here.
type Place interface {
	// Up makes machines 1 to n run, each with the repository as it is now. What
	// runs already stays; it may be called again after any failure.
	Up(n int) *exec.Cmd

	// Command is a command of this computer that runs argv in machine n, as root and
	// in the repository; its streams are argv's, and so is its exit code. With
	// terminal, argv has the terminal that standard input is.
	Command(n int, terminal bool, argv ...string) *exec.Cmd

	// Address is how the other machines reach machine n; empty when only the machine
	// itself knows.
	Address(n int) string

	// Down removes all machines and what they have written. It succeeds when there
	// is none.
	Down() *exec.Cmd
}

// A Forwarder is a place whose first machine has an API server that this computer
// reaches by a port of its own.
type Forwarder interface {
	APIServer() string // address and port
}

// Names are those of all places, as --on takes them.
var Names = []string{"qemu", "lima", "vagrant"}

// Open returns the place of a name for a repository; home is where its machines
// may keep their files.
func Open(name, repo, home string) (Place, error) {
	switch name {
	case "qemu":
		return qemu{repo: repo, state: filepath.Join(home, "qemu")}, nil
	case "lima":
		return lima{repo: repo}, nil
	case "vagrant":
		return vagrant{repo: repo}, nil
	}
	return nil, fmt.Errorf("--on %s: want local, host, %s", name, strings.Join(Names, ", "))
}

// slow tells a machine how slow it is, where this computer has been told: qemu's
// machines are measured, the others are not.
func slow(argv []string) []string {
	if factor := os.Getenv("GROUNDUP_VM_FACTOR"); factor != "" {
		return append([]string{"env", "GROUNDUP_VM_FACTOR=" + factor}, argv...)
	}
	return argv
}

// A Record is what is written down about the cluster.
type Record struct {
	On    string `json:"on"`
	Step  int    `json:"step"`
	Nodes int    `json:"nodes"`
}

// Home is the directory of the record: the one that the environment asks for, the
// cluster's own for root, and else one of the user's.
func Home(cluster string) (string, error) {
	if os.Getenv("GROUNDUP_HOME") != "" || os.Geteuid() == 0 {
		return cluster, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "groundup"), nil
	}
	dir, err := os.UserHomeDir()
	return filepath.Join(dir, ".local", "state", "groundup"), err
}

const recordFile = "place.json"

// Read returns the record, or none when no machines have been asked for.
func Read(home string) (*Record, error) {
	b, err := os.ReadFile(filepath.Join(home, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(home, recordFile), err)
	}
	return &r, nil
}

// Write writes the record down, before anything is started.
func (r Record) Write(home string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	next := filepath.Join(home, recordFile+".new")
	if err := os.WriteFile(next, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(home, recordFile))
}

// Forget removes the record, when all machines have been, and the home directory
// if nothing else is in it.
func Forget(home string) error {
	if err := os.Remove(filepath.Join(home, recordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = os.Remove(home) // it stays when it holds something that is not ours
	return nil
}

// Machine is the number of the machine that a command line is about: its
// arguments name a node, or a pod, whose name ends in its node's. Without, it is
// the first; a second result says that none was named.
func Machine(args []string, nodes int) (n int, named bool) {
	if dash := slices.Index(args, "--"); dash >= 0 {
		args = args[:dash]
	}
	for _, arg := range args {
		for n := nodes; n >= 1; n-- {
			name := fmt.Sprintf("node-%d", n)
			if arg == name || strings.HasSuffix(arg, "-"+name) || strings.HasSuffix(arg, "="+name) {
				return n, true
			}
		}
	}
	return 1, false
}
