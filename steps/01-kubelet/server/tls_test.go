package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A ca signs client certificates.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newCA(t *testing.T) ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, encodePEM("CERTIFICATE", der), 0o644); err != nil {
		t.Fatal(err)
	}
	return ca{cert, key, file}
}

func (c ca) sign(t *testing.T, template x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(2)
	der, err := x509.CreateCertificate(rand.Reader, &template, c.cert, key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// readOnlyUsers may get, and the group of masters may do everything.
type readOnlyUsers struct{}

func (readOnlyUsers) Authorize(_ context.Context, u User, verb, subresource string) (bool, string) {
	for _, g := range u.Groups {
		if g == "system:masters" {
			return true, ""
		}
	}
	return verb == "get" && subresource != "proxy", "not a master"
}

func TestAuthentication(t *testing.T) {
	ours, other := newCA(t), newCA(t)
	conf, err := TLS(Cert{Dir: t.TempDir(), ClientCAFile: ours.file, Names: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, newFake(t), func(c *Config) { c.TLS, c.AnonymousHealthz, c.Authorizer = conf, true, readOnlyUsers{} })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, l, nil) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	soon := time.Now().Add(time.Hour)
	master := ours.sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "apiserver", Organization: []string{"system:masters"}}, NotAfter: soon, ExtKeyUsage: client})
	user := ours.sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "prometheus"}, NotAfter: soon, ExtKeyUsage: client})
	for _, tt := range []struct {
		name, method, path string
		cert               *tls.Certificate
		code               int
		body               string
	}{
		{"master", "GET", "/pods", master, 200, "PodList"},
		{"master runs", "POST", "/run/default/web/main?cmd=x", master, 200, "x"},
		{"user gets", "GET", "/pods", user, 200, "PodList"},
		{"user may not run", "POST", "/run/default/web/main?cmd=x", user, 403, "Forbidden (user=prometheus, verb=create, resource=nodes, subresource(s)=[proxy])\n"},
		{"user may not read logs", "GET", "/containerLogs/default/web/main", user, 403, "subresource(s)=[proxy]"},
		{"nobody", "GET", "/pods", nil, 401, "Unauthorized"},
		{"nobody, health", "GET", "/healthz", nil, 200, "ok"},
		{"nobody, not quite health", "GET", "/healthzz", nil, 401, "Unauthorized"},
		{"of another CA", "GET", "/pods", other.sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "x"}, NotAfter: soon, ExtKeyUsage: client}), 401, "Unauthorized"},
		{"expired", "GET", "/pods", ours.sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(-time.Hour), ExtKeyUsage: client}), 401, "Unauthorized"},
		{"for servers", "GET", "/pods", ours.sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "x"}, NotAfter: soon, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), 401, "Unauthorized"},
		{"without name", "GET", "/pods", ours.sign(t, x509.Certificate{NotAfter: soon, ExtKeyUsage: client}), 401, "Unauthorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AddCert(conf.Certificates[0].Leaf)
			clientConf := &tls.Config{RootCAs: roots}
			if tt.cert != nil { // whatever the server says it accepts
				clientConf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tt.cert, nil }
			}
			transport := &http.Transport{TLSClientConfig: clientConf}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequest(tt.method, "https://"+l.Addr().String()+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != tt.code || !strings.Contains(string(body), tt.body) {
				t.Errorf("got %d %s, %v, want %d …%s…", res.StatusCode, body, err, tt.code, tt.body)
			}
		})
	}
}

func TestASelfSignedCertificateIsKept(t *testing.T) {
	c := Cert{Dir: filepath.Join(t.TempDir(), "pki"), Names: []string{"node-1", "10.0.0.1"}}
	leaf := func() *x509.Certificate {
		t.Helper()
		conf, err := TLS(c)
		if err != nil {
			t.Fatal(err)
		}
		return conf.Certificates[0].Leaf
	}
	first := leaf()
	if !leaf().Equal(first) {
		t.Error("made again without a reason")
	}
	if info, err := os.Stat(filepath.Join(c.Dir, "kubelet.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: got %v, %v", info, err)
	}
	if err := first.VerifyHostname("10.0.0.1"); err != nil {
		t.Error(err)
	}
	c.Names = append(c.Names, "node-1.local")
	second := leaf()
	if second.Equal(first) {
		t.Error("kept, although the names have changed")
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "kubelet.crt"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if leaf().Equal(second) {
		t.Error("kept, although the file is broken")
	}
	if usable(second, c.Names, second.NotAfter.Add(-certRenew+time.Minute)) {
		t.Error("kept until its last day")
	}
}

func TestTLSRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cert Cert
		want string
	}{
		{Cert{CertFile: "a"}, "must be given together"},
		{Cert{CertFile: "/none", KeyFile: "/none"}, "no such file"},
		{Cert{Dir: t.TempDir(), ClientCAFile: "/none"}, "client CA: open /none"},
		{Cert{Dir: t.TempDir(), ClientCAFile: empty}, "no certificate in it"},
	} {
		if _, err := TLS(tt.cert); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %s", tt.cert, err, tt.want)
		}
	}
}
