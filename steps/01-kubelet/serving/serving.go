// Package serving opens the ports at which a kubelet answers: its API over TLS,
// the read-only port if there is one, and /healthz for whoever supervises it.
package serving

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/server"
)

// TLS returns how the API is served: with the certificate of the configuration,
// or with one that is made now and kept.
func TLS(conf *config.Configuration, flags config.Flags, node criconfig.Node) (*tls.Config, error) {
	cert := server.Cert{
		CertFile: conf.TLSCertFile, KeyFile: conf.TLSPrivateKeyFile, ClientCAFile: conf.Authentication.X509.ClientCAFile,
		Dir: flags.CertDir, Names: []string{node.Name, "localhost", "127.0.0.1"},
	}
	if cert.Dir == "" {
		cert.Dir = filepath.Join(flags.RootDir, "pki")
	}
	for _, ip := range node.IPs {
		cert.Names = append(cert.Names, ip.String())
	}
	return server.TLS(cert)
}

// Run serves until ctx is done. Healthy says why the kubelet is not; events are
// what has happened to pods, which the health port shows as well, at /events.
func Run(ctx context.Context, conf *config.Configuration, api *server.Server, healthy func() error, events func() []event.Event) error {
	group, ctx := errgroup.WithContext(ctx)
	if *conf.EnableServer {
		l, err := listen(ctx, conf.Address, conf.Port)
		if err != nil {
			return err
		}
		readOnly, err := optional(ctx, conf.Address, conf.ReadOnlyPort)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		group.Go(func() error { return api.Run(ctx, l, readOnly) })
	}
	health, err := optional(ctx, conf.HealthzBindAddress, *conf.HealthzPort)
	if err == nil && health != nil {
		group.Go(func() error { return serveHealth(ctx, health, healthy, events) })
	}
	return errors.Join(err, group.Wait())
}

// settle is how long a port may still be taken: a kubelet that was killed while it
// started another program has left its sockets to that one's beginnings.
const settle = 3 * time.Second

func listen(ctx context.Context, address string, port int32) (net.Listener, error) {
	for end := time.Now().Add(settle); ; {
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(end) || ctx.Err() != nil {
			return nil, fmt.Errorf("serve the kubelet API: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// optional is listen for a port that may be 0: nothing then.
func optional(ctx context.Context, address string, port int32) (net.Listener, error) {
	if port == 0 {
		return nil, nil
	}
	return listen(ctx, address, port)
}

func serveHealth(ctx context.Context, l net.Listener, healthy func() error, events func() []event.Event) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "ok")
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(events()) // the client has gone if it fails
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve /healthz: %w", err)
	}
	return nil
}
