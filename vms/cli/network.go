package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/spf13/cobra"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/repo"
)

// runNodes runs the command in several machines at once, when all are up; they
// stay until all commands have ended. Each line of output begins with the
// machine's name. The first failure is the job's; the others go on.
func (j *job) runNodes(cmd *cobra.Command, r repo.Repo, conf machine.Config, args []string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	var (
		group, up, done sync.WaitGroup
		mu              sync.Mutex // a line at a time
		errs            = make([]error, j.nodes)
	)
	up.Add(j.nodes)
	done.Add(j.nodes)
	for i := range j.nodes {
		conf := conf
		conf.Hostname, conf.Network = network(i+1, port)
		out := &prefixer{mu: &mu, w: cmd.OutOrStdout(), prefix: conf.Hostname + " | "}
		errOut := &prefixer{mu: &mu, w: cmd.ErrOrStderr(), prefix: conf.Hostname + " | "}
		w := worker{repo: r, conf: conf, timeout: j.timeout, progress: errOut, up: &up, done: &done}
		group.Go(func() {
			errs[i] = w.do(cmd.Context(), machine.Command{
				Args: args, Dir: conf.Mount, Stdout: out, Stderr: errOut,
				Env: []string{fmt.Sprintf("GROUNDUP_NODE=%d", i+1), fmt.Sprintf("GROUNDUP_NODES=%d", j.nodes)},
			})
			out.flush()
			errOut.flush()
		})
	}
	group.Wait()
	for _, err := range errs {
		if isExit(err) {
			return err
		}
	}
	return errors.Join(errs...)
}

// network is the name of machine n, and its place on the network of a port.
func network(n, port int) (name string, net *machine.Network) {
	return fmt.Sprintf("node-%d", n), &machine.Network{Port: port, Number: n, Address: fmt.Sprintf("10.99.0.%d/24", n)}
}

// freePort returns a UDP port that nobody has on the loopback interface.
func freePort() (int, error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port, nil
}

// A prefixer writes whole lines with a prefix.
type prefixer struct {
	mu     *sync.Mutex // held while a line is written
	w      io.Writer
	prefix string
	rest   []byte
}

func (p *prefixer) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		p.line(line)
		p.rest = rest
	}
}

func (p *prefixer) line(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "%s%s\n", p.prefix, b)
}

// flush writes a last line that had no end.
func (p *prefixer) flush() {
	if len(p.rest) > 0 {
		p.line(p.rest)
		p.rest = nil
	}
}
