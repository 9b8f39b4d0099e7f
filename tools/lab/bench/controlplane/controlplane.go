// Package controlplane starts control planes to be measured, ours and upstream's:
// as processes of this machine on loopback, with data in a folder.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// A Server is an API server with its store: one process or two.
type Server struct {
	Processes
	Config     *rest.Config  // of an administrator, without client limits
	Kubeconfig string        // the same, as a file
	Ready      time.Duration // from the start of the first process to /readyz
}

// nobody is what upstream's API server says where it is, which no one asks it: left to
// itself it looks for a default route, and does not start without one, as on a train.
const nobody = "192.0.2.1"

// startTimeout is for hangs.
const startTimeout = 2 * time.Minute

// StartOurs starts our API server, with etcd in it and certificates of its own.
func StartOurs(ctx context.Context, program, dir string) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{}
	begin := time.Now()
	if err := s.Run(dir, program, "--data-dir="+filepath.Join(dir, "d"), "--secure-port="+port); err != nil {
		return nil, err
	}
	return s, s.await(ctx, filepath.Join(dir, "d", "admin.kubeconfig"), begin)
}

// StartUpstream starts the etcd and the kube-apiserver of a folder.
func StartUpstream(ctx context.Context, folder, dir string) (*Server, error) {
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
	s := &Server{}
	begin := time.Now()
	if err := s.Run(dir, filepath.Join(folder, "etcd"), "--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return nil, err
	}
	files := pki.Files{Dir: certs}
	if err := s.Run(dir, filepath.Join(folder, "kube-apiserver"), "--etcd-servers="+etcd, "--secure-port="+ports[0], "--bind-address=127.0.0.1", "--advertise-address="+nobody,
		"--client-ca-file="+files.CA(), "--tls-cert-file="+files.Serving(), "--tls-private-key-file="+pki.Key(files.Serving()),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+files.ServiceAccount(), "--service-account-signing-key-file="+pki.Key(files.ServiceAccount()),
		"--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=Node,RBAC"); err != nil {
		return s, errors.Join(err, s.Stop())
	}
	return s, s.await(ctx, kubeconfig, begin)
}

// await waits until the server says that it is ready. A server that is not is stopped.
func (s *Server) await(ctx context.Context, kubeconfig string, begin time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := errors.New("it was not asked")
	for ; err != nil && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		err = s.askReady(ctx, kubeconfig)
	}
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(filepath.Dir(kubeconfig), "kube-apiserver.log"))
		return errors.Join(fmt.Errorf("not ready: %w\n%s", err, log[max(0, len(log)-2000):]), s.Stop())
	}
	s.Ready = time.Since(begin)
	return nil
}

func (s *Server) askReady(ctx context.Context, kubeconfig string) error {
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
	s.Config, s.Kubeconfig = config, kubeconfig
	return nil
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
