package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

const day = 24 * time.Hour

func ensure(t *testing.T, dir string, names ...string) *Authority {
	t.Helper()
	a, err := Ensure(dir, names...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// contents returns what is in every file of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		all[e.Name()] = read(t, filepath.Join(dir, e.Name()))
	}
	return all
}

func TestEnsureLaysOutWhatKubeadmDoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	ensure(t, dir, "node-1", "10.96.0.1")
	first := contents(t, dir)
	for name, secret := range map[string]bool{
		"ca.crt": false, "ca.key": true, "apiserver.crt": false, "apiserver.key": true,
		"apiserver-kubelet-client.crt": false, "apiserver-kubelet-client.key": true, "sa.pub": false, "sa.key": true,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if want := map[bool]os.FileMode{true: 0o600, false: 0o644}[secret]; info.Mode() != want {
			t.Errorf("%s: got mode %v, want %v", name, info.Mode(), want)
		}
	}
	if len(first) != 8 {
		t.Errorf("got %d files, want 8", len(first))
	}
	ensure(t, dir, "node-1", "10.96.0.1")
	for name, content := range contents(t, dir) {
		if content != first[name] {
			t.Errorf("%s was replaced though it was good", name)
		}
	}
}

func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	ensure(t, dir, "node-1", "10.96.0.1")
	load := func(path string) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(path, Key(path))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	files := Files{dir}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, files.CA())))
	for _, c := range []struct{ name, want string }{
		{"10.96.0.1", ""}, {"node-1", ""}, {"kubernetes.default.svc", ""}, {"localhost", ""}, {"127.0.0.1", ""},
		{"node-2", "not node-2"},
	} {
		c1, c2 := net.Pipe()
		server := tls.Server(c1, &tls.Config{Certificates: []tls.Certificate{load(files.Serving())}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
		done := make(chan []string, 1)
		go func() {
			defer c1.Close()
			if server.Handshake() != nil {
				done <- nil
				return
			}
			done <- server.ConnectionState().PeerCertificates[0].Subject.Organization
		}()
		err := tls.Client(c2, &tls.Config{RootCAs: pool, ServerName: c.name, Certificates: []tls.Certificate{load(files.KubeletClient())}}).Handshake()
		c2.Close()
		groups := <-done
		if c.want == "" && (err != nil || !slices.Equal(groups, []string{"system:masters"})) {
			t.Errorf("%s: %v, and the server sees the groups %v", c.name, err, groups)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestEnsureReplacesWhatIsNotGood(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, base string)
		leaf  Leaf
		want  bool // replaced
	}{
		{"good", nil, Leaf{User: "u", Names: []string{"one"}}, false},
		{"fewer names are enough", nil, Leaf{User: "u"}, false},
		{"another name", nil, Leaf{User: "u", Names: []string{"one", "two"}}, true},
		{"another user", nil, Leaf{User: "v", Names: []string{"one"}}, true},
		{"another group", nil, Leaf{User: "u", Groups: []string{"g"}, Names: []string{"one"}}, true},
		{"no key", func(t *testing.T, base string) { os.Remove(base + ".key") }, Leaf{User: "u", Names: []string{"one"}}, true},
		{"the key of another", func(t *testing.T, base string) {
			if _, err := newKey(base + ".key"); err != nil {
				t.Fatal(err)
			}
		}, Leaf{User: "u", Names: []string{"one"}}, true},
		{"another authority's", func(t *testing.T, base string) {
			other, err := Open(t.TempDir())
			if err == nil {
				os.Remove(base + ".key")
				err = other.Ensure(base, Leaf{User: "u", Names: []string{"one"}})
			}
			if err != nil {
				t.Fatal(err)
			}
		}, Leaf{User: "u", Names: []string{"one"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			a, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Join(dir, "leaf")
			if err := a.Ensure(base, Leaf{User: "u", Names: []string{"one"}}); err != nil {
				t.Fatal(err)
			}
			if c.spoil != nil {
				c.spoil(t, base)
			}
			before := read(t, base+".crt")
			if err := a.Ensure(base, c.leaf); err != nil {
				t.Fatal(err)
			}
			if got := read(t, base+".crt") != before; got != c.want {
				t.Errorf("replaced: got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRubbishIsSaidNotReplaced(t *testing.T) {
	for _, c := range []struct {
		name, file, content, want string
	}{
		{"certificate", "apiserver.crt", "rubbish", "not a PEM file"},
		{"key", "sa.key", "rubbish", "not a PEM file"},
		{"authority", "ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ca.crt: x509"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			ensure(t, dir)
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Ensure(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("authority without its key", func(t *testing.T) {
		dir := t.TempDir()
		ensure(t, dir)
		os.Remove(filepath.Join(dir, "ca.key"))
		if _, err := Ensure(dir); err == nil || !strings.Contains(err.Error(), "has no key beside it") {
			t.Errorf("got %v, want that a second authority is not made in the place of one that is in use", err)
		}
	})
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock moves when we sleep
		dir := t.TempDir()
		pki := filepath.Join(dir, "pki")
		a := ensure(t, pki, "node-1")
		admin := filepath.Join(dir, "admin.conf")
		if err := a.EnsureKubeconfig(admin, "https://127.0.0.1:6443", Kubeconfigs("node-1")["admin.conf"]); err != nil {
			t.Fatal(err)
		}
		renew := func(margin time.Duration) string {
			t.Helper()
			paths, err := a.Renew(dir, margin)
			if err != nil {
				t.Fatal(err)
			}
			for i := range paths {
				paths[i], _ = filepath.Rel(dir, paths[i])
			}
			return strings.Join(paths, " ")
		}
		if got := renew(Margin); got != "" {
			t.Errorf("on the first day: renewed %s", got)
		}
		time.Sleep(leafLife - 20*day)
		if got := renew(10 * day); got != "" {
			t.Errorf("20 days before the end, with a margin of 10: renewed %s", got)
		}
		want := "admin.conf pki/apiserver-kubelet-client.crt pki/apiserver.crt"
		if got := renew(Margin); got != want {
			t.Errorf("20 days before the end: renewed %q, want %q", got, want)
		}
		all, err := Expiry(dir)
		if err != nil || len(all) != 4 {
			t.Fatalf("got %v, %v, want four certificates", all, err)
		}
		for _, c := range all {
			if left := time.Until(c.Expires); !c.CA && left < leafLife-day {
				t.Errorf("%s of %q ends in %v", c.Path, c.Subject, left)
			}
		}
		serving, _, err := readPair(filepath.Join(pki, "apiserver"))
		if err != nil || serving.VerifyHostname("node-1") != nil {
			t.Errorf("the renewed certificate has lost a name: %v, %v", serving.DNSNames, err)
		}
		if k, err := readKubeconfig(admin); err != nil || k.cluster.Server != "https://127.0.0.1:6443" || !slices.Equal(k.cert.Subject.Organization, []string{"system:masters"}) {
			t.Errorf("the renewed kubeconfig: %+v, %v", k, err)
		}
	})
}

func TestNothingOutlivesItsAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := ensure(t, dir)
		time.Sleep(authorityLife - 100*day)
		if err := a.Ensure(filepath.Join(dir, "late"), Leaf{User: "late"}); err != nil {
			t.Fatal(err)
		}
		cert, _, err := readPair(filepath.Join(dir, "late"))
		if err != nil || cert.NotAfter.After(a.cert.NotAfter) {
			t.Errorf("ends %v, the authority %v (%v)", cert.NotAfter, a.cert.NotAfter, err)
		}
		time.Sleep(101 * day)
		if err := a.Ensure(filepath.Join(dir, "later"), Leaf{User: "later"}); err == nil || !strings.Contains(err.Error(), "has expired on") {
			t.Errorf("got %v, want that the authority has expired", err)
		}
	})
}

func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	a := ensure(t, filepath.Join(dir, "pki"))
	path := filepath.Join(dir, "admin.conf")
	write := func(server string) string {
		t.Helper()
		if err := a.EnsureKubeconfig(path, server, Leaf{User: "kubernetes-admin", Groups: []string{"system:masters"}}); err != nil {
			t.Fatal(err)
		}
		return read(t, path)
	}
	first := write("https://127.0.0.1:6443")
	if write("https://127.0.0.1:6443") != first {
		t.Error("a good file was replaced")
	}
	if write("https://127.0.0.1:7443") == first {
		t.Error("the server moved, and the file did not follow")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil || config.Host != "https://127.0.0.1:7443" || len(config.CAData) == 0 || len(config.CertData) == 0 || len(config.KeyData) == 0 {
		t.Errorf("client-go reads %v, %v", config, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v, want mode 0600: there is a key inside", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("kind: Config\napiVersion: v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.EnsureKubeconfig(path, "https://127.0.0.1:6443", Leaf{User: "u"}); err == nil || !strings.Contains(err.Error(), "names no cluster and user") {
		t.Errorf("got %v", err)
	}
}

func TestKeysOfOthersAreRead(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"kubeadm's": encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
		"openssl's": append(encode("EC PARAMETERS", []byte{6}), encode("EC PRIVATE KEY", ecDER)...),
	} {
		path := filepath.Join(t.TempDir(), "sa.key")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ReadPublicKey(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
