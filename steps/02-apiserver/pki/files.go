package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	certificateBlock = "CERTIFICATE"
	privateKeyBlock  = "PRIVATE KEY" // PKCS #8
	publicKeyBlock   = "PUBLIC KEY"  // PKIX
)

// A pair is a certificate and its key before they are written.
type pair struct {
	cert []byte // DER
	key  *ecdsa.PrivateKey
}

// pem returns both as they stand in files.
func (p *pair) pem() (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, nil, err
	}
	return encode(certificateBlock, p.cert), encode(privateKeyBlock, der), nil
}

// write writes base.key, then base.crt. Between the two the old certificate
// stands beside the new key: readPair says that they are no pair, and the next
// Ensure begins again.
func (p *pair) write(base string) error {
	cert, key, err := p.pem()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	if err := WriteFile(base+".key", key, 0o600); err != nil {
		return err
	}
	return WriteFile(base+".crt", cert, 0o644)
}

// errTorn is also fs.ErrNotExist: there is no usable pair, make one.
var errTorn = fmt.Errorf("the key is not the certificate's: %w", fs.ErrNotExist)

func readPair(base string) (*x509.Certificate, crypto.Signer, error) {
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
	key, err := parseKey(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.key: %w", base, err)
	}
	if public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, nil, fmt.Errorf("%s.key: %w", base, errTorn)
	}
	return cert, key, nil
}

// parseKey reads a private key in any of the forms that openssl and kubeadm write.
func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return signer, nil
}

// ReadKey reads a private key: of service-account tokens, or of a certificate.
func ReadKey(path string) (crypto.Signer, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// ReadPublicKey reads the public key of a file that has one, a certificate, or
// the private key.
func ReadPublicKey(path string) (crypto.PublicKey, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return key, nil
	}
	if cert, err := x509.ParseCertificate(der); err == nil {
		return cert.PublicKey, nil
	}
	key, err := parseKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s holds no public key, certificate or private key", path)
	}
	return key.Public(), nil
}

// ensureKeyPair makes base.key and base.pub, unless the key is there.
func ensureKeyPair(base string) error {
	key, err := ReadKey(base + ".key")
	if errors.Is(err, fs.ErrNotExist) {
		key, err = newKey(base + ".key")
	}
	if err != nil {
		return err
	}
	if old, err := ReadPublicKey(base + ".pub"); err == nil && key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(old) {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return WriteFile(base+".pub", encode(publicKeyBlock, der), 0o644)
}

func newKey(path string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, WriteFile(path, encode(privateKeyBlock, der), 0o600)
}

// WriteFile puts a whole file in place of what was there: a reader sees the old
// content or the new, also when the machine stops in between.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

func encode(block string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
}

func readPEM(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// What openssl writes has the parameters of the curve before the key.
	block, rest := pem.Decode(b)
	if block != nil && block.Type == "EC PARAMETERS" {
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, fmt.Errorf("%s: not a PEM file; remove it to have a new one made", path)
	}
	return block.Bytes, nil
}
