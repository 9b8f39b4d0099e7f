package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/initd"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"k8s.io/client-go/tools/clientcmd"
)

// readyTimeout is for hangs: a node is ready in well under a second.
var readyTimeout = Stretch(60 * time.Second)

// waitReady waits until every URL of the step has answered, one after the other.
func (c *Cluster) waitReady(ctx context.Context, spec Spec, node Node, info step.Node) error {
	for _, template := range spec.Step.Ready {
		b, err := step.Expand("ready", template, info)
		if err != nil {
			return err
		}
		if len(b) == 0 {
			continue // not of this node
		}
		u, err := url.Parse(string(b))
		if err != nil {
			return err
		}
		if err := c.await(ctx, u, node); err != nil {
			return err
		}
	}
	return nil
}

// await polls a URL until it answers.
func (c *Cluster) await(ctx context.Context, u *url.URL, node Node) (err error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = c.probe(ctx, u, node); err == nil {
			return nil
		}
		if failing := crashLoop(node); failing != nil {
			return failing
		}
		if !node.Running() {
			return fmt.Errorf("%s went down: see %s", node.Name, c.path("nodes", node.Name, "console.log"))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return overdue(ctx, fmt.Errorf("%s is not ready after %s: %w; see `lab logs`", node.Name, readyTimeout, err))
		}
	}
}

// overdue is why there is no more waiting when ctx is done: it took too long, or we
// were interrupted, and nothing else is to be said.
func overdue(ctx context.Context, late error) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return late
}

// hopeless is after how many failures in a row a service is not waited for.
const hopeless = 4

// crashLoop says which service of the node ends as soon as it is started, and
// what it said last.
func crashLoop(node Node) error {
	services, err := node.Services()
	if err != nil {
		return nil // init has not written its status yet
	}
	for _, s := range services {
		if s.PID == 0 && s.Failures >= hopeless {
			log, err := os.ReadFile(node.Path(filepath.Join(initd.LogDir, s.Name+".log")))
			if err != nil {
				return err
			}
			lines := strings.Split(strings.TrimSpace(string(log)), "\n")
			return fmt.Errorf("%s does not stay up (%s):\n  %s", s.Name, s.Last, strings.Join(lines[max(0, len(lines)-3):], "\n  "))
		}
	}
	return nil
}

func (c *Cluster) probe(ctx context.Context, u *url.URL, node Node) error {
	if u.Scheme == "unix" {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", node.Path(u.Path))
		if err != nil {
			return err
		}
		return conn.Close()
	}
	body, err := c.Get(ctx, u.String())
	if err != nil {
		return err
	}
	return body.Close()
}

// Get fetches a URL of the cluster with the learner's certificates. The caller
// closes the body.
func (c *Cluster) Get(ctx context.Context, url string) (io.ReadCloser, error) {
	identity, err := c.identity()
	if err != nil {
		return nil, err
	}
	return c.get(ctx, url, identity)
}

// identity is the administrator's. Of a machine that has joined, where no
// administrator is known, it is its kubelet's.
func (c *Cluster) identity() (tls.Certificate, error) {
	state, err := c.State()
	if err != nil {
		return tls.Certificate{}, err
	}
	if !state.joined() {
		return tls.LoadX509KeyPair(c.path("pki", "admin.crt"), c.path("pki", "admin.key"))
	}
	kubelet, err := clientcmd.BuildConfigFromFlags("", c.nodePath(state.Host.Number, "root", "etc/kubernetes/kubelet.conf"))
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(kubelet.CertData, kubelet.KeyData)
}

// GetAnonymous fetches a URL of the cluster as one who has no certificate.
func (c *Cluster) GetAnonymous(ctx context.Context, url string) (io.ReadCloser, error) {
	return c.get(ctx, url)
}

func (c *Cluster) get(ctx context.Context, url string, as ...tls.Certificate) (io.ReadCloser, error) {
	ca, err := os.ReadFile(c.path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", c.path("pki", "ca.crt"))
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool, Certificates: as, MinVersion: tls.VersionTLS13},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return nil, errors.Join(fmt.Errorf("%s: %s: %s", url, resp.Status, bytes.TrimSpace(b)), err)
	}
	return resp.Body, nil
}

// Kubelet is the base URL of a node's kubelet.
func (n Node) Kubelet() string { return "https://" + net.JoinHostPort(n.IP, "10250") }

// Exited is the exit code that err carries when it is of a command that ran and
// failed; of one that a signal ended, as a shell tells it.
func Exited(err error) (code int, ok bool) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, false
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), true
	}
	return exit.ExitCode(), true
}
