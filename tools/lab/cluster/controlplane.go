package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/step"
)

// Clients are upstream's programs that people look at a control plane with.
var Clients = []string{"kubectl", "etcdctl"}

// ServiceAddress is the first address of the services' range: that of the
// service kubernetes, behind which is the API server.
const ServiceAddress = "10.96.0.1"

// Kubeconfig is the learner's, for kubectl on this machine.
func (c *Cluster) Kubeconfig() string { return c.path("admin.conf") }

// Client is the path of one of [Clients] on this machine.
func (c *Cluster) Client(name string) string { return c.path("bin", name) }

// apiServer is the URL of the API server.
func apiServer(info step.Node) string {
	return "https://" + net.JoinHostPort(info.ControlPlane, "6443")
}

// credentials puts into the node's /etc/kubernetes what its members of the
// control plane, and its kubelet, are known by. The authority's key stays here.
func (c *Cluster) credentials(spec Spec, authority *pki.Authority, n int, info step.Node) error {
	if err := c.servingCertificate(authority, n, info); err != nil {
		return err
	}
	if !spec.Step.ControlPlane {
		// One of a later step would let kubectl look for an API server that is gone.
		if err := os.Remove(c.Kubeconfig()); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if !info.First {
		return c.kubeconfig(authority, n, info, "kubelet.conf")
	}
	wanted := pki.Kubeconfigs(info.Name)
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if err := c.kubeconfig(authority, n, info, name); err != nil {
			return err
		}
	}
	if err := authority.EnsureKubeconfig(c.Kubeconfig(), apiServer(info), wanted["admin.conf"]); err != nil {
		return err
	}
	etc := c.nodePath(n, "root", "etc/kubernetes")
	if _, err := pki.Ensure(c.path("pki"), info.Name, info.IP, ServiceAddress); err != nil {
		return err
	}
	files := pki.Files{Dir: c.path("pki")}
	for _, public := range []string{files.Serving(), files.KubeletClient(), files.ServiceAccount()} {
		for path, mode := range map[string]fs.FileMode{public: 0o644, pki.Key(public): 0o600} {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := replaceChanged(filepath.Join(etc, "pki", filepath.Base(path)), content, mode); err != nil {
				return err
			}
		}
	}
	return nil
}

// servingCertificate is what the node's kubelet serves with.
func (c *Cluster) servingCertificate(authority *pki.Authority, n int, info step.Node) error {
	return authority.Ensure(c.nodePath(n, "root", "etc/kubernetes/pki/kubelet"), pki.Leaf{
		User: "system:node:" + info.Name, Groups: []string{"system:nodes"},
		Names: []string{info.Name}, Addresses: []net.IP{net.ParseIP(info.IP)},
	})
}

// kubeconfig is one of [pki.Kubeconfigs], in the node's /etc/kubernetes.
func (c *Cluster) kubeconfig(authority *pki.Authority, n int, info step.Node, name string) error {
	return authority.EnsureKubeconfig(c.nodePath(n, "root", "etc/kubernetes", name), apiServer(info), pki.Kubeconfigs(info.Name)[name])
}

// images are the images of the step's components, as their archives name them.
func (c *Cluster) images(spec Spec) (map[string]string, error) {
	images := map[string]string{}
	for _, component := range spec.Step.Components {
		b, err := os.ReadFile(c.path("images", component+".ref"))
		if err != nil {
			return nil, err
		}
		images[component] = strings.TrimSpace(string(b))
	}
	return images, nil
}

// info is what templates may know of node n.
func (c *Cluster) info(spec Spec, state State, n int) (step.Node, error) {
	info := step.Node{
		Name: NodeName(n), IP: state.ip(n), Gateway: state.Gateway(),
		PodCIDR: state.Plan.PodCIDR(n).String(), First: n == 1, ControlPlane: state.controlPlane(),
	}
	if spec.Step.ControlPlane && n != 1 && state.Host != nil && !state.joined() {
		return info, fmt.Errorf("%s has no control plane of its own: on %s, `lab invite %s --address %s` writes an invitation, which `lab up --on host --join FILE` takes",
			info.Name, NodeName(1), info.Name, info.IP)
	}
	images, err := c.images(spec)
	info.Images = images
	if err != nil {
		return info, fmt.Errorf("images of the control plane: %w", err)
	}
	return info, nil
}
