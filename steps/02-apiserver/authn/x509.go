package authn

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"

	"k8s.io/apiserver/pkg/authentication/user"
)

// X509 knows clients by the certificate of their TLS connection. The handshake
// asks for one and takes any (tls.RequestClientCert), so that a wrong one is
// answered in HTTP, with a Status.
type X509 struct{ Authorities *x509.CertPool }

// Authorities reads the certificates of a file.
func Authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate inside", path)
	}
	return pool, nil
}

// Authenticate implements Authenticator. TLS has proved by then that the client
// has the key of its certificate.
func (x X509) Authenticate(r *http.Request) (user.Info, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	options := x509.VerifyOptions{
		Roots:         x.Authorities,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, c := range r.TLS.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	cert := r.TLS.PeerCertificates[0]
	if _, err := cert.Verify(options); err != nil {
		return nil, false, fmt.Errorf("verifying certificate SN=%v, SKID=%X, AKID=%X failed: %w", cert.SerialNumber, cert.SubjectKeyId, cert.AuthorityKeyId, err)
	}
	if cert.Subject.CommonName == "" {
		return nil, false, fmt.Errorf("the client certificate SN=%v has no common name, which would be the user", cert.SerialNumber)
	}
	sum := sha256.Sum256(cert.Raw)
	return &user.DefaultInfo{
		Name:   cert.Subject.CommonName,
		Groups: cert.Subject.Organization,
		Extra:  map[string][]string{user.CredentialIDKey: {"X509SHA256=" + hex.EncodeToString(sum[:])}},
	}, true, nil
}
