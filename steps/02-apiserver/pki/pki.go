// Package pki makes what the members of a cluster know each other by: one
// authority, the certificates that it signs, and the key that signs the tokens
// of service accounts.
//
// A certificate is a name and a public key with the authority's signature under
// them, so whoever trusts the authority need not be told of any member by name.
// Kubernetes reads two things into it: of a client, the common name is its user
// and the organizations are its groups; a server may be reached by the names and
// addresses among its subject alternative names. There is no other record of
// users in a cluster.
//
// Files are laid out as kubeadm lays them out, in pki below /etc/kubernetes, so
// upstream's components can be started on them. Upstream: cmd/kubeadm/app/phases/certs.
package pki

import (
	"net"
	"path/filepath"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour

	// Margin is how long before its end a certificate is made anew, if nobody
	// says otherwise.
	Margin = 30 * 24 * time.Hour
)

// A Files names the files of an API server, in a directory of their own.
type Files struct{ Dir string }

// Each certificate has its private key beside it, with .key in place of .crt.
func (f Files) CA() string             { return filepath.Join(f.Dir, "ca.crt") }
func (f Files) Serving() string        { return filepath.Join(f.Dir, "apiserver.crt") }
func (f Files) KubeletClient() string  { return filepath.Join(f.Dir, "apiserver-kubelet-client.crt") }
func (f Files) ServiceAccount() string { return filepath.Join(f.Dir, "sa.pub") }

// Key is where the private key of a certificate or public key is.
func Key(path string) string {
	return path[:len(path)-len(filepath.Ext(path))] + ".key"
}

// Ensure makes in dir what an API server needs, unless it is there and good: the
// authority, the certificate it serves with at these names and addresses besides
// those that every cluster has, the one by which it is a client of the kubelets,
// and the key of service-account tokens. A name that is an IP address is taken for one.
func Ensure(dir string, names ...string) (*Authority, error) {
	a, err := Open(dir)
	if err != nil {
		return nil, err
	}
	server := Leaf{User: "kube-apiserver", Names: []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
	}, Addresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			server.Addresses = append(server.Addresses, ip)
		} else {
			server.Names = append(server.Names, name)
		}
	}
	if err := a.Ensure(filepath.Join(dir, "apiserver"), server); err != nil {
		return nil, err
	}
	// The kubelet lets everybody in whom the authority knows; a finer one asks who
	// may reach nodes/proxy, and system:masters may.
	client := Leaf{User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}}
	if err := a.Ensure(filepath.Join(dir, "apiserver-kubelet-client"), client); err != nil {
		return nil, err
	}
	return a, ensureKeyPair(filepath.Join(dir, "sa"))
}
