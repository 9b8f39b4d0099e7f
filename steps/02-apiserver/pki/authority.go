package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// An Authority signs certificates. Its files are DIR/ca.crt and DIR/ca.key.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// A Leaf is a certificate to be: with Addresses or Names it is a server's,
// otherwise a client's.
type Leaf struct {
	User      string
	Groups    []string
	Names     []string
	Addresses []net.IP
}

// Open reads the authority of dir, or makes one there.
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	var err error
	if a.cert, a.key, err = readPair(a.base()); err == nil {
		return a, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, err := os.Stat(a.Cert()); err == nil {
		return nil, fmt.Errorf("%s has no key beside it: restore %s.key, or remove the certificate to begin with a new authority", a.Cert(), a.base())
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p, err := a.sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "kubernetes"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}, authorityLife)
	if err != nil {
		return nil, err
	}
	if err := p.write(a.base()); err != nil {
		return nil, err
	}
	a.cert, a.key, err = readPair(a.base())
	return a, err
}

// Cert is the path of the authority's certificate.
func (a *Authority) Cert() string { return a.base() + ".crt" }

func (a *Authority) base() string { return filepath.Join(a.dir, "ca") }

// Ensure makes base.crt and base.key, unless they are there, signed by this
// authority, for this leaf, and not about to expire.
func (a *Authority) Ensure(base string, l Leaf) error {
	cert, _, err := readPair(base)
	if err == nil && a.suits(cert, l) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p, err := a.issue(l.template())
	if err != nil {
		return fmt.Errorf("%s.crt: %w", base, err)
	}
	return p.write(base)
}

// template is the certificate to sign for a leaf.
func (l Leaf) template() *x509.Certificate {
	usage := x509.ExtKeyUsageClientAuth
	if len(l.Names)+len(l.Addresses) > 0 {
		usage = x509.ExtKeyUsageServerAuth
	}
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: l.User, Organization: l.Groups},
		DNSNames:    l.Names,
		IPAddresses: l.Addresses,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

// suits says whether a certificate can serve as the leaf for some time to come.
func (a *Authority) suits(cert *x509.Certificate, l Leaf) bool {
	if cert.CheckSignatureFrom(a.cert) != nil || endsWithin(cert, Margin) {
		return false
	}
	if cert.Subject.CommonName != l.User || !slices.Equal(cert.Subject.Organization, l.Groups) {
		return false
	}
	names := slices.Clone(l.Names)
	for _, ip := range l.Addresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

func endsWithin(cert *x509.Certificate, margin time.Duration) bool {
	return time.Until(cert.NotAfter) < margin
}

// issue signs a leaf, which never outlives its authority.
func (a *Authority) issue(t *x509.Certificate) (*pair, error) {
	life := min(leafLife, time.Until(a.cert.NotAfter))
	if life <= 0 {
		return nil, fmt.Errorf("the authority %s has expired on %s: remove all of its certificates to begin anew", a.Cert(), a.cert.NotAfter.Format(time.DateOnly))
	}
	return a.sign(t, life)
}

// sign completes the template and makes a new key for it. An authority that is
// no certificate yet signs itself.
func (a *Authority) sign(t *x509.Certificate, life time.Duration) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	now := time.Now()
	t.NotBefore, t.NotAfter = now.Add(-5*time.Minute), now.Add(life)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = t, crypto.Signer(key)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %q: %w", t.Subject.CommonName, err)
	}
	return &pair{cert: der, key: key}, nil
}
