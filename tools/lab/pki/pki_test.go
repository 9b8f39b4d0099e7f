package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	server, client := filepath.Join(dir, "server"), filepath.Join(dir, "client")
	if err := a.Ensure(server, Leaf{User: "system:node:n", Names: []string{"n"}, Addresses: []net.IP{net.IPv4(10, 0, 0, 1)}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Ensure(client, Leaf{User: "kubernetes-admin", Groups: []string{"system:masters"}}); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c1, c2 := net.Pipe()
	done := make(chan error, 1)
	go func() {
		pair, err := tls.LoadX509KeyPair(server+".crt", server+".key")
		if err != nil {
			done <- err
			return
		}
		s := tls.Server(c1, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
		err = s.Handshake()
		if err == nil && s.ConnectionState().PeerCertificates[0].Subject.Organization[0] != "system:masters" {
			t.Error("the client's group is lost")
		}
		done <- err
		s.Close()
	}()
	pair, err := tls.LoadX509KeyPair(client+".crt", client+".key")
	if err != nil {
		t.Fatal(err)
	}
	if err := tls.Client(c2, &tls.Config{RootCAs: pool, ServerName: "10.0.0.1", Certificates: []tls.Certificate{pair}}).Handshake(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestEnsureKeepsWhatIsGoodAndReplacesWhatIsNot(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, "leaf")
	ensure := func(a *Authority, names ...string) string {
		t.Helper()
		if err := a.Ensure(base, Leaf{User: "u", Names: names}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(base + ".crt")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := ensure(a, "one")
	if again, err := Open(dir); err != nil || ensure(again, "one") != first {
		t.Errorf("a good certificate was replaced (%v)", err)
	}
	if ensure(a, "one", "two") == first {
		t.Error("a certificate without a name that is wanted was kept")
	}
	second := ensure(a, "one")
	other, err := Open(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	if ensure(other, "one") == second {
		t.Error("a certificate of another authority was kept")
	}
	info, err := os.Stat(base + ".key")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v, want mode 0600", info.Mode(), err)
	}
	if err := os.WriteFile(base+".crt", []byte("rubbish"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := a.Ensure(base, Leaf{User: "u"}); err == nil || !strings.Contains(err.Error(), "not a PEM file") {
		t.Errorf("got %v, want that the file is rubbish", err)
	}
}
