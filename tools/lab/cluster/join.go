package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/fabric"
	"github.com/k8s-groundup/groundup/tools/lab/step"
)

// An Invitation is all that a machine needs to become a node of another machine's
// control plane. The authority's key is not in it, but its kubelet's is: whoever
// reads it is that node.
//
// kubeadm join lets the new node make that key itself, and has the API server sign
// it; that takes a controller, which comes with a later step.
type Invitation struct {
	Number       int         `json:"number"`       // of the node that is invited
	IP           string      `json:"ip"`           // its address
	ControlPlane string      `json:"controlPlane"` // the first node's address
	Plan         fabric.Plan `json:"plan"`         // so that no two nodes' pods share an address
	// Files are those of /etc/kubernetes, by their path below it.
	Files map[string]string `json:"files"`
}

// invited are the files of an invitation with their modes.
var invited = map[string]fs.FileMode{"pki/ca.crt": 0o644, "pki/kubelet.crt": 0o644, "pki/kubelet.key": 0o600, "kubelet.conf": 0o600}

// Invite writes an invitation for node n, which has this address. Until a
// certificate in it is to be renewed, the next one for the same node is the same.
// The caller holds the lock.
func (c *Cluster) Invite(n int, ip string) (Invitation, error) {
	state, err := c.State()
	if err != nil {
		return Invitation{}, err
	}
	if err := state.mayInvite(n, ip); err != nil {
		return Invitation{}, err
	}
	authority, err := pki.Open(c.path("pki"))
	if err != nil {
		return Invitation{}, err
	}
	// What node n is known by is kept as that of a node in a box is, so it is listed
	// and renewed with the others.
	node := step.Node{Name: NodeName(n), IP: ip, ControlPlane: state.Host.IP}
	if err := errors.Join(c.servingCertificate(authority, n, node), c.kubeconfig(authority, n, node, "kubelet.conf")); err != nil {
		return Invitation{}, err
	}
	invitation := Invitation{Number: n, IP: ip, ControlPlane: state.Host.IP, Plan: state.Plan, Files: map[string]string{}}
	for name := range invited {
		path := c.nodePath(n, "root", "etc/kubernetes", name)
		if name == "pki/ca.crt" {
			path = authority.Cert()
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return Invitation{}, err
		}
		invitation.Files[name] = string(content)
	}
	return invitation, nil
}

func (s State) mayInvite(n int, ip string) error {
	address := net.ParseIP(ip)
	switch {
	case s.Host == nil:
		return errors.New("the nodes of this cluster are boxes on this machine: `lab up --nodes` adds one")
	case s.Host.Number != 1:
		return fmt.Errorf("this machine is %s: ask for the invitation on %s", NodeName(s.Host.Number), NodeName(1))
	case n < 2 || n > MaxNodes:
		return fmt.Errorf("this machine is %s, so others are %s to %s", NodeName(1), NodeName(2), NodeName(MaxNodes))
	case address == nil || address.To4() == nil:
		return fmt.Errorf("%q is no IPv4 address", ip)
	case ip == s.Host.IP:
		return fmt.Errorf("%s is this machine's own address: name that of %s", ip, NodeName(n))
	}
	return nil
}

// ReadInvitation reads what [Cluster.Invite] has returned, as JSON.
func ReadInvitation(r io.Reader) (*Invitation, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var i Invitation
	if err := d.Decode(&i); err != nil {
		return nil, fmt.Errorf("this is no invitation of `lab invite`: %w", err)
	}
	want, have := slices.Sorted(maps.Keys(invited)), slices.Sorted(maps.Keys(i.Files))
	switch {
	case i.Number < 2 || i.Number > MaxNodes:
		return nil, fmt.Errorf("the invitation is for node number %d: want 2 to %d", i.Number, MaxNodes)
	case net.ParseIP(i.IP) == nil || net.ParseIP(i.ControlPlane) == nil:
		return nil, fmt.Errorf("the invitation has the addresses %q and %q: want those of the node and of the control plane", i.IP, i.ControlPlane)
	case !i.Plan.Pods.IsValid() || !i.Plan.Nodes.IsValid():
		return nil, errors.New("the invitation says nothing of the addresses of pods")
	case !slices.Equal(want, have):
		return nil, fmt.Errorf("the invitation has the files %s: want %s", strings.Join(have, ", "), strings.Join(want, ", "))
	}
	return &i, nil
}

// Host is the node that a machine is who takes the invitation.
func (i *Invitation) Host() Host {
	return Host{Number: i.Number, IP: i.IP, ControlPlane: i.ControlPlane}
}

// mayJoin says why a machine can't take an invitation.
func (s State) mayJoin(i *Invitation) error {
	if s.Host != nil && s.Host.Number != i.Number {
		return fmt.Errorf("this machine is %s, and the invitation is for %s: `lab down` makes it nobody", NodeName(s.Host.Number), NodeName(i.Number))
	}
	return nil
}

// join puts the files of an invitation in their places. An authority that this
// machine has had for itself is none any more.
func (c *Cluster) join(i *Invitation) error {
	ca := []byte(i.Files["pki/ca.crt"])
	if have, err := os.ReadFile(c.path("pki", "ca.crt")); err == nil && !bytes.Equal(have, ca) {
		if err := errors.Join(os.RemoveAll(c.path("pki")), os.RemoveAll(c.Kubeconfig())); err != nil {
			return err
		}
	}
	if err := replaceChanged(c.path("pki", "ca.crt"), ca, 0o644); err != nil {
		return err
	}
	for name, mode := range invited {
		path := filepath.Join(c.nodePath(i.Number, "root", "etc/kubernetes"), name)
		if err := replaceChanged(path, []byte(i.Files[name]), mode); err != nil {
			return err
		}
	}
	return nil
}
