package cluster

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/fabric"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"k8s.io/client-go/tools/clientcmd"
)

// machine is a cluster as `lab up --on host` writes it down.
func machine(t *testing.T, h Host) *Cluster {
	t.Helper()
	plan, err := fabric.Choose()
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Home: t.TempDir()}
	if err := c.save(State{Step: 2, Nodes: 1, Plan: plan, Host: &h}); err != nil {
		t.Fatal(err)
	}
	return c
}

// invite is [Cluster.Invite] with the way over the wire.
func invite(t *testing.T, c *Cluster, n int, ip string) *Invitation {
	t.Helper()
	written, err := c.Invite(n, ip)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadInvitation(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// A machine that has joined is known to the control plane, knows it, and can sign
// nothing.
func TestJoin(t *testing.T) {
	first := machine(t, Host{Number: 1, IP: "10.99.0.1"})
	invitation := invite(t, first, 2, "10.99.0.2")
	second := machine(t, invitation.Host())
	if err := second.join(invitation); err != nil {
		t.Fatal(err)
	}

	ca, err := os.ReadFile(first.path("pki/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	etc := second.nodePath(2, "root/etc/kubernetes")
	serving, err := tls.LoadX509KeyPair(filepath.Join(etc, "pki/kubelet.crt"), filepath.Join(etc, "pki/kubelet.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serving.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "10.99.0.2"}); err != nil {
		t.Errorf("what the kubelet serves with: %v", err)
	}
	client, err := second.identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("what the kubelet asks with: %v", err)
	}
	if got := client.Leaf.Subject.String(); got != "CN=system:node:node-2,O=system:nodes" {
		t.Errorf("the kubelet asks as %s", got)
	}
	conf, err := clientcmd.BuildConfigFromFlags("", filepath.Join(etc, "kubelet.conf"))
	if err != nil || conf.Host != "https://10.99.0.1:6443" {
		t.Errorf("the kubelet's API server: got %v, %v, want node-1's", conf, err)
	}
	if err := filepath.WalkDir(second.Home, func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".key") && path != filepath.Join(etc, "pki/kubelet.key") {
			t.Errorf("%s: a key that is not the kubelet's has left node-1", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	state, err := second.State()
	if err != nil {
		t.Fatal(err)
	}
	info, err := second.info(Spec{Step: &step.Step{ControlPlane: true}}, state, 2)
	if err != nil {
		t.Fatal(err)
	}
	if info.First || info.ControlPlane != "10.99.0.1" || info.IP != "10.99.0.2" || info.PodCIDR != state.Plan.PodCIDR(2).String() {
		t.Errorf("templates of node-2 know %+v", info)
	}
	if _, err := second.RenewCertificates(t.Context(), nil, 0); err == nil || !strings.Contains(err.Error(), "node-1") {
		t.Errorf("renewal on node-2: got %v, want to be sent to node-1", err)
	}
}

// Whoever joins again, as after each `lab up`, restarts nothing; a renewal on the
// first machine comes with the next invitation.
func TestInvitationsRepeatUntilRenewal(t *testing.T) {
	first := machine(t, Host{Number: 1, IP: "10.99.0.1"})
	before := invite(t, first, 2, "10.99.0.2")
	second := machine(t, before.Host())
	fingerprint := func(i *Invitation) string {
		t.Helper()
		if err := second.join(i); err != nil {
			t.Fatal(err)
		}
		f, err := second.fingerprint(2)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	old := fingerprint(before)
	if got := fingerprint(invite(t, first, 2, "10.99.0.2")); got != old {
		t.Error("a second invitation has other certificates, so the kubelet would be restarted")
	}
	authority, err := pki.Open(first.path("pki"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range first.credentialDirs() {
		if _, err := authority.Renew(dir, 2*365*24*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if got := fingerprint(invite(t, first, 2, "10.99.0.2")); got == old {
		t.Error("after a renewal the invitation has the old certificates")
	}
	all, err := first.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for _, cert := range all {
		if cert.Subject == "system:node:node-2" {
			listed++
		}
	}
	if listed != 2 {
		t.Errorf("got %d certificates of node-2 on node-1, want two: %v", listed, all)
	}
}

// A machine of step 01 that has been alone gives its own authority up.
func TestJoinEndsOwnAuthority(t *testing.T) {
	alone := machine(t, Host{Number: 2, IP: "10.99.0.2"})
	authority, err := pki.Open(alone.path("pki"))
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.admin(authority); err != nil {
		t.Fatal(err)
	}
	if err := alone.join(invite(t, machine(t, Host{Number: 1, IP: "10.99.0.1"}), 2, "10.99.0.2")); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(alone.path("pki/*")); len(left) != 1 || err != nil {
		t.Errorf("got %v, %v, want the certificate of node-1's authority alone", left, err)
	}
}

func TestWhoMayInviteWhom(t *testing.T) {
	first, joined := Host{Number: 1, IP: "10.99.0.1"}, Host{Number: 2, IP: "10.99.0.2", ControlPlane: "10.99.0.1"}
	for _, c := range []struct {
		name string
		host *Host
		n    int
		ip   string
		want string // in the error; none if empty
	}{
		{"a worker", &first, 2, "10.99.0.2", ""},
		{"by boxes", nil, 2, "10.99.0.2", "lab up --nodes"},
		{"by a worker", &joined, 3, "10.99.0.3", "on node-1"},
		{"the control plane itself", &first, 1, "10.99.0.1", "node-2"},
		{"one too many", &first, MaxNodes + 1, "10.99.0.9", "node-50"},
		{"at no address", &first, 2, "node-2", "no IPv4 address"},
		{"at its own address", &first, 2, "10.99.0.1", "own address"},
	} {
		err := State{Host: c.host}.mayInvite(c.n, c.ip)
		if got := c.want == "" && err == nil || c.want != "" && err != nil && strings.Contains(err.Error(), c.want); !got {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestBadInvitations(t *testing.T) {
	good := invite(t, machine(t, Host{Number: 1, IP: "10.99.0.1"}), 2, "10.99.0.2")
	for name, spoil := range map[string]func(*Invitation){
		"of the first node":    func(i *Invitation) { i.Number = 1 },
		"without an address":   func(i *Invitation) { i.IP = "" },
		"to nowhere":           func(i *Invitation) { i.ControlPlane = "node-1" },
		"without pod networks": func(i *Invitation) { i.Plan = fabric.Plan{} },
		"without a key":        func(i *Invitation) { delete(i.Files, "pki/kubelet.key") },
		"with another file":    func(i *Invitation) { i.Files["../../etc/passwd"] = "" },
	} {
		bad := *good
		bad.Files = map[string]string{}
		for file, content := range good.Files {
			bad.Files[file] = content
		}
		spoil(&bad)
		b, err := json.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadInvitation(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := ReadInvitation(strings.NewReader("lab: no cluster is up\n")); err == nil {
		t.Error("no JSON: got no error")
	}
	if err := (State{Host: &Host{Number: 3}}).mayJoin(good); err == nil {
		t.Error("node-3 takes an invitation for node-2")
	}
}

// A node that is alone and needs a control plane is told how to join one.
func TestAloneWithoutAControlPlane(t *testing.T) {
	c := machine(t, Host{Number: 2, IP: "10.99.0.2"})
	state, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.info(Spec{Step: &step.Step{ControlPlane: true}}, state, 2); err == nil || !strings.Contains(err.Error(), "lab invite node-2 --address 10.99.0.2") {
		t.Errorf("got %v, want the way to join", err)
	}
	if _, err := c.info(Spec{Step: &step.Step{}}, state, 2); err != nil {
		t.Errorf("a step without an API server: %v", err)
	}
}
