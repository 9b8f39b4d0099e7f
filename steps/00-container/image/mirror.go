package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
)

// A mirror asks another host than the one that a reference names. The images
// keep their names, and what the mirror sends must have the digests that its
// manifests promise; but a tag is whatever the mirror says it is.
type mirror struct {
	hosts map[string]string
	next  http.RoundTripper
}

// mirrored reads DIR/mirrors.json, which maps a registry to the host (and
// port) that is asked in its place: {"registry.k8s.io": "127.0.0.1:5000"}.
// Without the file everybody is asked directly.
func (s *Store) mirrored(next http.RoundTripper) (http.RoundTripper, error) {
	raw, err := os.ReadFile(s.path("mirrors.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return next, nil
	}
	if err != nil {
		return nil, err
	}
	m := &mirror{next: next}
	if err := json.Unmarshal(raw, &m.hosts); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path("mirrors.json"), err)
	}
	return m, nil
}

// RoundTrip leaves the request that it was given as it is, as it must.
func (m *mirror) RoundTrip(r *http.Request) (*http.Response, error) {
	host, ok := m.hosts[r.URL.Host]
	if !ok {
		return m.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = host, host
	if isLoopback(host) {
		r.URL.Scheme = "http"
	}
	return m.next.RoundTrip(r)
}

// isLoopback: plain HTTP never leaves the machine.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
