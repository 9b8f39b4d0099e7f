package apibench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// A server is an API server with its store: one process or two.
type server struct {
	processes []*exec.Cmd
	config    *rest.Config
	ready     time.Duration // from the start of the first process to /readyz
}

// startTimeout is for hangs.
const startTimeout = 2 * time.Minute

func startOurs(ctx context.Context, c Config, dir string) (*server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{}
	begin := time.Now()
	if err := s.run(dir, c.Ours, "--data-dir="+filepath.Join(dir, "d"), "--secure-port="+port); err != nil {
		return nil, err
	}
	return s, s.await(ctx, filepath.Join(dir, "d", "admin.kubeconfig"), begin)
}

func startUpstream(ctx context.Context, c Config, dir string) (*server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	certs := filepath.Join(dir, "pki")
	authority, err := pki.Ensure(certs, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	var ports [3]string
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	kubeconfig := filepath.Join(dir, "admin.kubeconfig")
	if err := authority.EnsureKubeconfig(kubeconfig, "https://127.0.0.1:"+ports[0], pki.Kubeconfigs("")["admin.conf"]); err != nil {
		return nil, err
	}
	etcd := "http://127.0.0.1:" + ports[1]
	peer := "http://127.0.0.1:" + ports[2]
	s := &server{}
	begin := time.Now()
	if err := s.run(dir, filepath.Join(c.Upstream, "etcd"), "--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return nil, err
	}
	files := pki.Files{Dir: certs}
	if err := s.run(dir, filepath.Join(c.Upstream, "kube-apiserver"), "--etcd-servers="+etcd, "--secure-port="+ports[0], "--bind-address=127.0.0.1",
		"--client-ca-file="+files.CA(), "--tls-cert-file="+files.Serving(), "--tls-private-key-file="+pki.Key(files.Serving()),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+files.ServiceAccount(), "--service-account-signing-key-file="+pki.Key(files.ServiceAccount()),
		"--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=Node,RBAC"); err != nil {
		return s, errors.Join(err, s.stop())
	}
	return s, s.await(ctx, kubeconfig, begin)
}

// run starts a process, whose output goes to a file in dir.
func (s *server) run(dir, program string, args ...string) error {
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.processes = append(s.processes, cmd)
	return nil
}

// await waits until the server says that it is ready. A server that is not is stopped.
func (s *server) await(ctx context.Context, kubeconfig string, begin time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := errors.New("it was not asked")
	for ; err != nil && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		err = s.askReady(ctx, kubeconfig)
	}
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(filepath.Dir(kubeconfig), "kube-apiserver.log"))
		return errors.Join(fmt.Errorf("not ready: %w\n%s", err, log[max(0, len(log)-2000):]), s.stop())
	}
	s.ready = time.Since(begin)
	return nil
}

func (s *server) askReady(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	s.config = config
	return nil
}

// stop ends the processes, the API server before its store.
func (s *server) stop() (err error) {
	for i := len(s.processes) - 1; i >= 0; i-- {
		p := s.processes[i]
		err = errors.Join(err, p.Process.Signal(os.Interrupt))
		time.AfterFunc(10*time.Second, func() { p.Process.Kill() })
		p.Wait() // how it ends is no figure
	}
	return err
}

// memory is the resident memory of the processes, in MiB.
func (s *server) memory() (float64, error) {
	var kib float64
	for _, p := range s.processes {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
				if err != nil {
					return 0, err
				}
				kib += n
			}
		}
	}
	return kib / 1024, nil
}

// tick is the unit of times in /proc/PID/stat.
const tick = 10 * time.Millisecond

// cpu is the processor time that the processes have used.
func (s *server) cpu() (total time.Duration, err error) {
	for _, p := range s.processes {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		if err != nil {
			return 0, err
		}
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		for _, f := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(string(f), 10, 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(n) * tick
		}
	}
	return total, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
