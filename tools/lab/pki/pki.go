// Package pki makes the certificates of a cluster: one authority, a serving
// certificate for each node's kubelet and a client certificate for the learner.
//
// Kubernetes' names in certificates: a client's common name is its user, its
// organizations are its groups; a server's subject alternative names are the
// names and addresses it is reached by.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is made anew.
	renewBefore = 30 * 24 * time.Hour
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
	if a.cert, a.key, err = read(filepath.Join(dir, "ca")); err == nil {
		return a, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "groundup-ca"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	if err := a.sign(template, authorityLife, filepath.Join(dir, "ca")); err != nil {
		return nil, err
	}
	a.cert, a.key, err = read(filepath.Join(dir, "ca"))
	return a, err
}

// Cert is the path of the authority's certificate.
func (a *Authority) Cert() string { return filepath.Join(a.dir, "ca.crt") }

// Ensure makes base.crt and base.key, unless they are there, signed by this
// authority, for these names and addresses, and not about to expire.
func (a *Authority) Ensure(base string, l Leaf) error {
	if cert, _, err := read(base); err == nil && a.good(cert, l) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	usage := x509.ExtKeyUsageClientAuth
	if len(l.Names)+len(l.Addresses) > 0 {
		usage = x509.ExtKeyUsageServerAuth
	}
	return a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: l.User, Organization: l.Groups},
		DNSNames:    l.Names,
		IPAddresses: l.Addresses,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, leafLife, base)
}

func (a *Authority) good(cert *x509.Certificate, l Leaf) bool {
	if cert.CheckSignatureFrom(a.cert) != nil || time.Until(cert.NotAfter) < renewBefore || cert.Subject.CommonName != l.User {
		return false
	}
	for _, name := range l.Names {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	for _, ip := range l.Addresses {
		if cert.VerifyHostname(ip.String()) != nil {
			return false
		}
	}
	return true
}

// sign completes the template and writes base.key, then base.crt: a reader that
// finds the certificate finds its key.
func (a *Authority) sign(t *x509.Certificate, life time.Duration, base string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	now := time.Now()
	t.NotBefore, t.NotAfter = now.Add(-5*time.Minute), now.Add(life)
	parent, signer := a.cert, a.key
	if parent == nil { // the authority signs itself
		parent, signer = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return fmt.Errorf("sign %s: %w", base, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(base+".key", "PRIVATE KEY", keyDER, 0o600); err != nil {
		return err
	}
	return write(base+".crt", "CERTIFICATE", der, 0o644)
}

func write(path, kind string, der []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := errors.Join(f.Chmod(mode), pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func read(base string) (*x509.Certificate, crypto.Signer, error) {
	certDER, err := readPEM(base + ".crt")
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := readPEM(base + ".key")
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.crt: %w", base, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.key: %w", base, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s.key: a %T cannot sign", base, key)
	}
	return cert, signer, nil
}

func readPEM(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: not a PEM file; remove it to have a new one made", path)
	}
	return block.Bytes, nil
}
