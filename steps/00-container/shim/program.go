package shim

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/opencontainers/runc/libcontainer/exeseal"
)

// A Program is the runtime-shim binary as it was when it was opened, in memory that
// nobody can write to any more.
//
// The same binary is the first process of each container, and a container may get
// hold of it by /proc (CVE-2019-5736). So libcontainer protects it at each start,
// with an overlay of its own that the kernel has to take down again; unless it
// runs from sealed memory, where there is nothing to protect. One copy serves all
// pods, and is there as long as one of them.
type Program struct {
	path   string
	sealed *os.File // nil where the kernel runs no programs from memory
}

// Open reads the binary. Nobody has to close a Program.
func Open(path string) (*Program, error) {
	binary, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the shim: %w", err)
	}
	defer binary.Close()
	sealed, seal, err := exeseal.Memfd("runtime-shim")
	if err != nil {
		return &Program{path: path}, nil
	}
	if _, err = io.Copy(sealed, binary); err == nil {
		err = seal(&sealed)
	}
	if err != nil {
		sealed.Close()
		return nil, fmt.Errorf("read the shim: %w", err)
	}
	return &Program{path, sealed}, nil
}

// exe is what to execute.
func (p *Program) exe() string {
	if p.sealed == nil {
		return p.path
	}
	return "/proc/self/fd/" + strconv.Itoa(int(p.sealed.Fd()))
}
