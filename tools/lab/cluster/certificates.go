package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/step"
)

// Certificates are all that the cluster's members show each other, in the order
// in which they end.
func (c *Cluster) Certificates() ([]pki.Certificate, error) {
	all, err := pki.Expiry(c.path("pki"))
	if err != nil {
		return nil, err
	}
	for _, dir := range c.credentialDirs() {
		more, err := pki.Expiry(dir)
		if err != nil {
			return nil, err
		}
		for _, cert := range more {
			if !cert.CA { // a copy
				all = append(all, cert)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pki.Certificate) int { return a.Expires.Compare(b.Expires) })
	return all, nil
}

// RenewCertificates makes anew every certificate that ends within the margin, and
// starts again whoever has read the old one. The authority's own stays. A node that
// is another machine gets its new ones by its next invitation.
func (c *Cluster) RenewCertificates(ctx context.Context, s *step.Step, margin time.Duration) (renewed []string, err error) {
	state, err := c.State()
	if err != nil {
		return nil, err
	}
	if state.joined() {
		return nil, fmt.Errorf("what %s is known by is signed on %s: renew it there", NodeName(state.Host.Number), NodeName(1))
	}
	authority, err := pki.Open(c.path("pki"))
	if err != nil {
		return nil, err
	}
	for _, dir := range append([]string{c.path("pki")}, c.credentialDirs()...) {
		paths, err := authority.Renew(dir, margin)
		if err != nil {
			return renewed, err
		}
		renewed = append(renewed, paths...)
	}
	if conf, err := authority.Renew(c.Kubeconfig(), margin); err == nil {
		renewed = append(renewed, conf...)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return renewed, err
	}
	if len(renewed) == 0 {
		return nil, nil
	}
	return renewed, c.Up(ctx, Spec{Step: s, Nodes: state.Nodes, Host: state.Host})
}

// credentialDirs are where nodes keep theirs.
func (c *Cluster) credentialDirs() []string {
	dirs, err := filepath.Glob(c.path("nodes", "*", "root", "etc", "kubernetes"))
	if err != nil {
		panic(fmt.Sprintf("the pattern is constant: %v", err))
	}
	return dirs
}

// fingerprint tells one set of a node's credentials from another. The authority's
// certificate is not among them: it is a file like any other.
func (c *Cluster) fingerprint(n int) (string, error) {
	sum := sha256.New()
	etc := c.nodePath(n, "root", "etc/kubernetes")
	for _, pattern := range []string{"*.conf", "pki/*.crt", "pki/*.pub"} {
		files, err := filepath.Glob(filepath.Join(etc, pattern))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if filepath.Base(file) == "ca.crt" {
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, "%s %d\n%s", strings.TrimPrefix(file, etc), len(content), content)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}
