package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/vms/agent"
	"github.com/k8s-groundup/groundup/vms/wire"
)

// Build answers a machine's go command, see [machine.BuildFunc]: tests build the
// programs that they drive, and here is where Go and its cache are. Nothing is done
// for a machine but `go build -o …` inside the repository, and `go list -m`, which
// tells where a module is: in the machine, it is at the same path. What the machine
// asks for is not trusted: by other flags and variables, go runs and writes anything.
func (r Repo) Build(ctx context.Context, b wire.Build, emit func(file string, piece []byte) error) wire.Built {
	b.Dir = filepath.Clean(b.Dir)
	if !r.Within(b.Dir) {
		return refuse("in a virtual machine go works inside the repository only")
	}
	out, args := agent.Output(b.Args)
	if flag := unknown(args); flag != "" {
		return refuse("in a virtual machine go takes no " + flag + ": vms/repo/build.go has the list")
	}
	b.Env = agent.BuildEnv(b.Env)
	switch {
	case len(args) > 1 && args[0] == "list" && args[1] == "-m":
		return run(ctx, b, args...)
	case len(args) == 0 || args[0] != "build" || out == "":
		return refuse("in a virtual machine go can do nothing but `go build -o FILE` and `go list -m`: the host does it")
	}
	dir, err := os.MkdirTemp("", "groundup-vm-build-")
	if err != nil {
		return refuse(err.Error())
	}
	defer os.RemoveAll(dir)
	built := run(ctx, b, append([]string{"build", "-o", dir + "/"}, args[1:]...)...)
	if built.Code != 0 {
		return built
	}
	if err := emitAll(dir, emit); err != nil {
		return refuse(err.Error())
	}
	return built
}

// flags are those that change nothing but what a program is. One that ends in = takes
// any value.
var flags = []string{
	"-m", "-f", "-trimpath", "-buildvcs=false", "-tags=", "-ldflags=-s -w", "-ldflags=-s -w -extldflags=-static",
}

// unknown returns the first flag that is not one of those, or nothing.
func unknown(args []string) string {
	for _, arg := range args {
		known := func(f string) bool { return arg == f || strings.HasSuffix(f, "=") && strings.HasPrefix(arg, f) }
		if strings.HasPrefix(arg, "-") && !slices.ContainsFunc(flags, known) {
			return arg
		}
	}
	return ""
}

// run runs a go command here, where the machine's would have run.
func run(ctx context.Context, b wire.Build, args ...string) wire.Built {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = b.Dir, append(os.Environ(), b.Env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return refuse(err.Error())
	}
	return wire.Built{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

func refuse(why string) wire.Built { return wire.Built{Code: 1, Stderr: why + "\n"} }

func emitAll(dir string, emit func(file string, piece []byte) error) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range files {
		if err := emitFile(filepath.Join(dir, e.Name()), emit); err != nil {
			return err
		}
	}
	return nil
}

func emitFile(path string, emit func(file string, piece []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	piece := make([]byte, 256<<10)
	for {
		n, err := f.Read(piece)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := emit(filepath.Base(path), piece[:n]); err != nil {
			return err
		}
	}
}
