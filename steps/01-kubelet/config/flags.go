package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the command line. Those that upstream's kubelet has too mean the same.
type Flags struct {
	Config           string
	RootDir          string
	HostnameOverride string
	NodeIP           []string
	Endpoint         string // of the container runtime
	ManifestPath     string
	CertDir          string
	Verbosity        int

	// Of the runtime in this process; upstream's kubelet has none.
	RuntimeRoot  string
	RuntimeState string
	Shim         string
	Network      string
	PodCIDR      string
}

// Add registers the flags.
func (f *Flags) Add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Config, "config", "", "`FILE` with a KubeletConfiguration")
	fs.StringVar(&f.RootDir, "root-dir", "/var/lib/kubelet", "`DIR` for what the kubelet keeps about pods: volumes, hosts files")
	fs.StringVar(&f.HostnameOverride, "hostname-override", "", "`NAME` of the node instead of the machine's")
	fs.StringSliceVar(&f.NodeIP, "node-ip", nil, "`ADDRESS` of the node, or two of them separated by a comma; by default one of the machine's own")
	fs.StringVar(&f.Endpoint, "container-runtime-endpoint", "", "`SOCKET` of a container runtime, such as unix:///run/containerd/containerd.sock; by default it is in this process")
	fs.StringVar(&f.ManifestPath, "pod-manifest-path", "", "`DIR` with manifests of static pods; staticPodPath of the configuration wins")
	fs.StringVar(&f.CertDir, "cert-dir", "", "`DIR` for the certificate that the kubelet makes itself if it is given none; pki below --root-dir by default")
	fs.IntVarP(&f.Verbosity, "v", "v", 0, "log `LEVEL`: 4 and more logs every decision")

	fs.StringVar(&f.RuntimeRoot, "runtime-root", "/var/lib/groundup/runtime", "`DIR` for images and containers of the runtime in this process")
	fs.StringVar(&f.RuntimeState, "runtime-state", "/run/groundup", "`DIR` for its sockets, mounts and namespaces; its CRI is at cri.sock in it, for crictl")
	fs.StringVar(&f.Shim, "shim", "", "`FILE`: the runtime-shim program; beside this program or in PATH by default")
	fs.StringVar(&f.Network, "network", "none", "`KIND` of pod network of the runtime in this process: none, or bridge for one node")
	fs.StringVar(&f.PodCIDR, "pod-cidr", "", "`RANGE` of pod addresses for --network=bridge; podCIDR of the configuration wins")
}

// Apply lets the flags that the configuration has a field for fill that field.
func (f *Flags) Apply(c *Configuration) {
	if c.StaticPodPath == "" {
		c.StaticPodPath = f.ManifestPath
	}
	if c.PodCIDR == "" {
		c.PodCIDR = f.PodCIDR
	}
	if f.Endpoint != "" {
		c.ContainerRuntimeEndpoint = f.Endpoint
	}
}

// Logger returns a logger that writes as much as -v asks for.
func (f *Flags) Logger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if f.Verbosity >= 4 {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// Hostname is the node's name: in lower case, as objects of the API are named.
func (f *Flags) Hostname() (string, error) {
	name := f.HostnameOverride
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("find the node's name: %w", err)
		}
		name = host
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return "", fmt.Errorf("the node's name is empty: give --hostname-override")
	}
	return name, nil
}

// Addresses parses --node-ip.
func (f *Flags) Addresses() ([]netip.Addr, error) {
	var all []netip.Addr
	for _, text := range f.NodeIP {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("--node-ip: %w", err)
		}
		all = append(all, ip)
	}
	if len(all) > 2 || len(all) == 2 && all[0].Is4() == all[1].Is4() {
		return nil, fmt.Errorf("--node-ip: got %v, want one address, or one of each family", all)
	}
	return all, nil
}
