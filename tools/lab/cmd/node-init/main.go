// Command node-init is the first process of a node. See package initd.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/k8s-groundup/groundup/tools/lab/initd"
	"golang.org/x/sys/unix"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	if err := run(log); err != nil {
		fmt.Fprintf(os.Stderr, "node-init: %v\n", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	if os.Getpid() != 1 {
		// This machine has another init (package host): what a service leaves behind
		// is still ours to reap.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("become a reaper: %w", err)
		}
	} else if err := initd.OwnCgroup("/sys/fs/cgroup"); err != nil {
		return err
	}
	i := initd.Init{Services: initd.ServicesFile, Status: initd.StatusFile, Logs: initd.LogDir, Log: log}
	return i.Run()
}
