package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
)

// maxMessage is what kubelets accept and send.
const maxMessage = 16 << 20

func (a *app) serve() *cobra.Command {
	var listen, kind, podCIDR string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the CRI on a unix socket",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conf := a.conf
			conf.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
			subnet, err := parseCIDR(podCIDR)
			if err != nil {
				return err
			}
			net := &networks{dir: filepath.Join(conf.State, "bridge"), subnet: subnet, fallback: kind, log: conf.Log}
			if err := net.Ready(); err != nil { // makes the bridge, before a command makes it otherwise
				return err
			}
			conf.Network = net
			s, err := cri.Open(conf)
			if err != nil {
				return err
			}
			defer s.Close()
			return serve(c.Context(), s, listen, conf.Log)
		},
	}
	c.Flags().StringVar(&listen, "listen", defaultSocket, "`URL` of the socket")
	c.Flags().StringVar(&kind, "network", "bridge", "`KIND` of network for pods: none or bridge")
	c.Flags().StringVar(&podCIDR, "pod-cidr", "", "`CIDR` of the pods on the bridge (default: what the bridge has, else 10.88.0.0/24)")
	c.Flags().StringVar(&a.conf.StreamAddr, "stream-addr", "127.0.0.1:0", "`ADDR` for exec, attach and port-forward")
	return c
}

func parseCIDR(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("--pod-cidr: %w", err)
	}
	return p, nil
}

func serve(ctx context.Context, s *cri.Service, url string, log *slog.Logger) error {
	path, ok := strings.CutPrefix(url, "unix://")
	if !ok {
		return fmt.Errorf("listen on %q: want unix:///PATH", url)
	}
	listener, err := listenUnix(path)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	runtimeapi.RegisterRuntimeServiceServer(server, s)
	runtimeapi.RegisterImageServiceServer(server, s)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error { return server.Serve(listener) })
	context.AfterFunc(ctx, server.Stop)
	log.Info("serving", "socket", path)
	return group.Wait()
}

// listenUnix takes over the socket of a server that has died, but not of one
// that lives.
func listenUnix(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another server listens on %s", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o660)
}

func (a *app) gc() *cobra.Command {
	return &cobra.Command{
		Use:   "gc",
		Short: "Remove what no image and no container needs",
		Args:  cobra.NoArgs,
		RunE: a.withRuntime(func(c *cobra.Command, s *cri.Service, _ []string) error {
			store, err := a.store()
			if err != nil {
				return err
			}
			freed, err := store.GC(c.Context())
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "removed %d blobs and %d layers, %s\n", freed.Blobs, freed.Layers, size(freed.Bytes))
			}
			return err
		}),
	}
}

func (a *app) reset() *cobra.Command {
	return &cobra.Command{
		Use:   "reset",
		Short: "Remove every pod, and the bridge; images stay",
		Args:  cobra.NoArgs,
		RunE: a.withRuntime(func(c *cobra.Command, s *cri.Service, _ []string) error {
			if err := s.Reset(c.Context()); err != nil {
				return err
			}
			return removeBridge(c.Context(), filepath.Join(a.conf.State, "bridge"))
		}),
	}
}
