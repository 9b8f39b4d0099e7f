// Runtime-shim is the process beside each pod: "runtime-shim pod DIR" is
// started by the runtime, with its listening socket as file 3. The same binary
// is the pause process (package pause) and the first stage of every container
// (package container). "runtime-shim features" tells what it was built with.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/k8s-groundup/groundup/steps/00-container/container"
	"github.com/k8s-groundup/groundup/steps/00-container/internal/sysmon"
	"github.com/k8s-groundup/groundup/steps/00-container/shim/podshim"
)

// libcontainer wants to be asked before anything else of the program runs.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		container.Init()
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runtime-shim:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "pod":
		return serve(args[1])
	case len(args) == 1 && args[0] == "features":
		return json.NewEncoder(os.Stdout).Encode(container.Features())
	}
	return fmt.Errorf("usage: runtime-shim pod DIR | features (the runtime starts it; there is nothing to do by hand)")
}

func serve(dir string) error {
	socket := os.NewFile(3, "socket")
	listener, err := net.FileListener(socket)
	if err != nil {
		return err
	}
	socket.Close()
	sysmon.Calm(time.Millisecond)
	server, startup := podshim.New(dir)
	return server.Run(listener, startup)
}
