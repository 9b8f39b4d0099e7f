package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"testing"
	"time"

	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// An api is the HTTPS API of a kubelet for a client that it knows.
type api struct {
	t    testing.TB
	addr string
	tls  *tls.Config
}

// openAPI lets the node's kubelet know a client. It is called before the start.
func (n *node) openAPI() api {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tester"},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		n.t.Fatal(err)
	}
	n.write("client.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	n.write("kubelet.yaml", read(n.t, n.path("kubelet.yaml"))+
		"port: 10250\nauthentication: {x509: {clientCAFile: "+n.path("client.crt")+"}}\n")
	return api{n.t, "127.0.0.1:10250", &tls.Config{
		Certificates:       []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		InsecureSkipVerify: true, // the kubelet has made its own certificate
	}}
}

// get is the body of an answer that is 200 OK.
func (a api) get(path string) string {
	a.t.Helper()
	text, err := a.try(path)
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

func (a api) try(path string) (string, error) {
	client := http.Client{Transport: &http.Transport{TLSClientConfig: a.tls, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + a.addr + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return string(text), err
}

// exec runs a command in a container by SPDY, as an API server does, and returns its
// output and the status that comes last.
func (a api) exec(path string, command ...string) (output, status string) {
	a.t.Helper()
	conn := a.upgrade(path+"?"+url.Values{"command": command, "output": {"1"}}.Encode(), "v4.channel.k8s.io")
	defer conn.Close()
	last := a.stream(conn, map[string]string{"streamType": "error"})
	stdout := a.stream(conn, map[string]string{"streamType": "stdout"})
	return a.readAll(stdout), a.readAll(last)
}

// portForward connects to a port of a pod and returns what is said there.
func (a api) portForward(path, port string) string {
	a.t.Helper()
	conn := a.upgrade(path, "portforward.k8s.io")
	defer conn.Close()
	failure := a.stream(conn, map[string]string{"streamType": "error", "port": port, "requestID": "0"})
	data := a.stream(conn, map[string]string{"streamType": "data", "port": port, "requestID": "0"})
	failure.Close()
	data.Close() // for writing
	text := a.readAll(data)
	if why := a.readAll(failure); why != "" {
		a.t.Errorf("forward port %s: %s", port, why)
	}
	return text
}

func (a api) upgrade(path, protocol string) httpstream.Connection {
	a.t.Helper()
	transport, err := spdy.NewRoundTripper(a.tls)
	if err != nil {
		a.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", "https://"+a.addr+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Add(httpstream.HeaderProtocolVersion, protocol)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	conn, err := transport.NewConnection(resp)
	if err != nil {
		a.t.Fatal(err)
	}
	return conn
}

func (a api) stream(conn httpstream.Connection, headers map[string]string) httpstream.Stream {
	a.t.Helper()
	canonical := http.Header{}
	for k, v := range headers {
		canonical.Set(k, v)
	}
	s, err := conn.CreateStream(canonical)
	if err != nil {
		a.t.Fatal(err)
	}
	return s
}

func (a api) readAll(r io.Reader) string {
	a.t.Helper()
	text, err := io.ReadAll(r)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}
