package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Certificate is a file that ends being good at some time.
type Certificate struct {
	Path    string
	Subject string // of a client, its user
	Expires time.Time
	CA      bool // cannot be renewed: all that it signed would have to be
}

// Expiry lists the certificates of a directory, in order of their paths: the files
// *.crt, and the kubeconfigs *.conf and *.kubeconfig, here and below.
func Expiry(dir string) ([]Certificate, error) {
	var all []Certificate
	err := walk(dir, func(path string, cert *x509.Certificate) error {
		all = append(all, Certificate{Path: path, Subject: cert.Subject.CommonName, Expires: cert.NotAfter, CA: cert.IsCA})
		return nil
	})
	return all, err
}

// Renew makes anew, with a new key, what this authority signed in dir and what
// ends within the margin, and returns the paths. Names, addresses and groups stay
// as they are. Whoever uses a file must read it again.
func (a *Authority) Renew(dir string, margin time.Duration) (renewed []string, err error) {
	err = walk(dir, func(path string, cert *x509.Certificate) error {
		if cert.IsCA || !endsWithin(cert, margin) || cert.CheckSignatureFrom(a.cert) != nil {
			return nil
		}
		if err := a.reissue(path, cert); err != nil {
			return err
		}
		renewed = append(renewed, path)
		return nil
	})
	return renewed, err
}

func (a *Authority) reissue(path string, cert *x509.Certificate) error {
	template := &x509.Certificate{
		Subject: cert.Subject, DNSNames: cert.DNSNames, IPAddresses: cert.IPAddresses,
		KeyUsage: cert.KeyUsage, ExtKeyUsage: cert.ExtKeyUsage,
	}
	base, isFile := strings.CutSuffix(path, ".crt")
	if !isFile {
		old, err := readKubeconfig(path)
		if err != nil {
			return err
		}
		return a.writeKubeconfig(path, old.cluster.Server, template)
	}
	p, err := a.issue(template)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return p.write(base)
}

// walk calls do with every certificate in or below dir. The errors of all files
// are told, and none keeps the others from being looked at.
func walk(dir string, do func(path string, cert *x509.Certificate) error) error {
	var errs []error
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		cert, err := certificateOf(path)
		if err == nil && cert != nil {
			err = do(path, cert)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // another process has just replaced it
			errs = append(errs, err)
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// certificateOf returns nil if the name of a file is of no kind that has one.
func certificateOf(path string) (*x509.Certificate, error) {
	switch filepath.Ext(path) {
	case ".crt":
		der, err := readPEM(path)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return cert, nil
	case ".conf", ".kubeconfig":
		k, err := readKubeconfig(path)
		return k.cert, err
	}
	return nil, nil
}
