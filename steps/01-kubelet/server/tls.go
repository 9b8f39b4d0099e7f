package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A self-signed certificate lives for a year, and is made again in its last month.
const (
	certLife  = 365 * 24 * time.Hour
	certRenew = 30 * 24 * time.Hour
)

// A Cert says where the serving certificate is and who may be a client.
type Cert struct {
	CertFile, KeyFile string   // given together, or both empty: self-signed in Dir
	Dir               string   // /var/lib/kubelet/pki
	ClientCAFile      string   // verifies client certificates; empty: none is accepted
	Names             []string // host names and addresses of a self-signed certificate
}

// TLS loads or makes the serving certificate. A self-signed one is kept in Dir
// as kubelet.crt and kubelet.key, and made again when it is close to its end or
// the names have changed.
func TLS(c Cert) (*tls.Config, error) {
	cert, err := c.serving()
	if err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	if c.ClientCAFile == "" {
		return conf, nil
	}
	data, err := os.ReadFile(c.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	conf.ClientCAs = x509.NewCertPool()
	if !conf.ClientCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("client CA %s: no certificate in it", c.ClientCAFile)
	}
	return conf, nil
}

func (c Cert) serving() (tls.Certificate, error) {
	switch {
	case c.CertFile != "" && c.KeyFile != "":
		return tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	case c.CertFile != "" || c.KeyFile != "":
		return tls.Certificate{}, errors.New("tlsCertFile and tlsPrivateKeyFile must be given together")
	}
	certFile, keyFile := filepath.Join(c.Dir, "kubelet.crt"), filepath.Join(c.Dir, "kubelet.key")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil && usable(cert.Leaf, c.Names, time.Now()) {
		return cert, nil
	}
	certPEM, keyPEM, err := selfSigned(c.Names, time.Now())
	if err != nil {
		return tls.Certificate{}, err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return tls.Certificate{}, err
	}
	// A crash between the two leaves a pair that does not match, and is made again.
	if err := errors.Join(writeFile(keyFile, keyPEM, 0o600), writeFile(certFile, certPEM, 0o644)); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

func usable(leaf *x509.Certificate, names []string, now time.Time) bool {
	dns, ips := sortNames(names)
	return leaf != nil && now.Add(certRenew).Before(leaf.NotAfter) && slices.Equal(dns, leaf.DNSNames) &&
		slices.EqualFunc(ips, leaf.IPAddresses, net.IP.Equal)
}

func sortNames(names []string) (dns []string, ips []net.IP) {
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, n)
		}
	}
	return dns, ips
}

func selfSigned(names []string, now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "kubelet"},
		NotBefore:             now.Add(-time.Hour), // clocks differ
		NotAfter:              now.Add(certLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	t.DNSNames, t.IPAddresses = sortNames(names)
	if len(names) > 0 {
		t.Subject.CommonName = names[0]
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return encodePEM("CERTIFICATE", der), encodePEM("PRIVATE KEY", keyDER), nil
}

func encodePEM(kind string, der []byte) []byte {
	var b bytes.Buffer
	pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}) // a buffer takes everything
	return b.Bytes()
}

// writeFile replaces a file as a whole.
func writeFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
