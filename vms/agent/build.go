package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/vms/wire"
)

// A request comes from the go program on the agent's socket; a reply goes back.
type request struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
}

type reply struct {
	Code   int    `json:"code"`
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
}

// listen makes the agent's folder: bin/go, which is this very program (see
// [Go]), and the socket where it is answered.
func (a *Agent) listen() (io.Closer, error) {
	bin := filepath.Join(a.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(self, filepath.Join(bin, "go")); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	socket := filepath.Join(a.dir, "go.sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed by Run
			}
			go func() {
				defer c.Close()
				if err := a.answer(c); err != nil {
					a.log.Warn("go program", "error", err)
				}
			}()
		}
	}()
	return l, nil
}

// answer asks the host for one go program.
func (a *Agent) answer(c net.Conn) error {
	var q request
	if err := json.NewDecoder(c).Decode(&q); err != nil {
		return err
	}
	pieces := make(chan wire.Built, 16)
	a.mu.Lock()
	a.next++
	number := a.next
	a.builds[number] = pieces
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.builds, number)
		a.mu.Unlock()
	}()
	a.send(wire.Message{Build: &wire.Build{Number: number, Args: q.Args, Env: q.Env, Dir: q.Dir}})
	r, err := receive(pieces, q)
	if err != nil {
		r = reply{Code: 1, Stderr: err.Error() + "\n"}
	}
	return json.NewEncoder(c).Encode(r)
}

// receive writes the files that come to where the go command would have written
// them. It reads to the last piece, so that the wire is never held up.
func receive(pieces <-chan wire.Built, q request) (reply, error) {
	var files fileSet
	defer files.close()
	var errs error
	for p := range pieces {
		if p.Done {
			return reply{p.Code, p.Stdout, p.Stderr}, errors.Join(errs, files.close())
		}
		path := OutputPath(q.Args, q.Dir, p.File)
		errs = errors.Join(errs, files.append(path, p.Bytes))
	}
	return reply{}, errors.New("the host has gone")
}

// OutputPath is where `go build` with these arguments, in dir, writes the
// program called name: into -o when that is a directory, to -o itself when not.
func OutputPath(args []string, dir, name string) string {
	out, _ := Output(args)
	isDir := strings.HasSuffix(out, "/")
	if !filepath.IsAbs(out) {
		out = filepath.Join(dir, out)
	}
	if info, err := os.Stat(out); isDir || err == nil && info.IsDir() {
		return filepath.Join(out, name)
	}
	return out
}

// Output finds the value of -o, and the arguments without it.
func Output(args []string) (out string, rest []string) {
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "-o="); ok {
			return value, slices.Delete(slices.Clone(args), i, i+1)
		}
		if arg == "-o" && i+1 < len(args) {
			return args[i+1], slices.Delete(slices.Clone(args), i, i+2)
		}
	}
	return "", args
}

// A fileSet holds one program open at a time: their pieces come in order.
type fileSet struct {
	path string
	file *os.File
}

func (s *fileSet) append(path string, b []byte) error {
	if s.path != path {
		if err := s.close(); err != nil {
			return err
		}
		// A program that runs can be replaced, but not written to.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		s.path, s.file = path, f
	}
	if s.file == nil {
		return nil // it has been reported
	}
	_, err := s.file.Write(b)
	return err
}

func (s *fileSet) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// Go is the go program of the machine: it passes its arguments to the host and
// returns the exit code.
func Go(dir string, args []string) int {
	r, err := ask(dir, args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "go: this machine has no Go, and asking the host: %v\n", err)
		return 2
	}
	io.WriteString(os.Stdout, r.Stdout)
	io.WriteString(os.Stderr, r.Stderr)
	return r.Code
}

func ask(dir string, args []string) (r reply, err error) {
	wd, err := os.Getwd()
	if err != nil {
		return r, err
	}
	c, err := net.Dial("unix", filepath.Join(dir, "go.sock"))
	if err != nil {
		return r, err
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(request{args, BuildEnv(os.Environ()), wd}); err != nil {
		return r, err
	}
	return r, json.NewDecoder(c).Decode(&r)
}

// BuildEnv keeps what changes how programs are built. The host has its own ideas
// of PATH and HOME.
func BuildEnv(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		return !strings.HasPrefix(v, "CGO_ENABLED=") && !strings.HasPrefix(v, "GOOS=") && !strings.HasPrefix(v, "GOARCH=")
	})
}
