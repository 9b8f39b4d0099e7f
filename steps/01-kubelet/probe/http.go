package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The transports. A probe says whether a server answers, not who it is, so
// certificates are not verified, and every probe makes its own connection.
var (
	anyHTTP = transport(func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) })
	plainH2 = transport(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true); p.SetHTTP2(true) })
)

func transport(protocols func(*http.Protocols)) *http.Transport {
	t := &http.Transport{
		DialContext:        dialer().DialContext,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives:  true,
		DisableCompression: true,
		Protocols:          new(http.Protocols),
	}
	protocols(t.Protocols)
	return t
}

func askHTTP(ctx context.Context, c *corev1.Container, g *corev1.HTTPGetAction, podIP string, timeout time.Duration) answer {
	addr, err := address(c, g.Host, podIP, g.Port)
	if err != nil {
		return unknown(err)
	}
	req, err := Request(ctx, g, addr, userAgent)
	if err != nil {
		return unknown(err)
	}
	client := &http.Client{Transport: anyHTTP, Timeout: timeout, CheckRedirect: SameHost}
	if g.Protocol != nil && *g.Protocol == corev1.HTTPProtocolHTTP2 {
		client.Transport = plainH2
	}
	res, err := client.Do(req)
	if err != nil {
		return unreached(err, "%v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxOutput))
	switch {
	case err != nil:
		return unknown(err)
	case res.StatusCode < http.StatusOK || res.StatusCode >= http.StatusBadRequest:
		// Without the body: events are read by more people than the pod's pages.
		return failed("HTTP probe failed with statuscode: %d", res.StatusCode)
	case res.StatusCode >= http.StatusMultipleChoices:
		return answer{result: Success, warning: true, output: "Probe terminated redirects, Response body: " + string(body)}
	}
	return answer{result: Success, output: string(body)}
}

// Request builds what a probe sends, or a hook, which says another agent.
// Headers of the spec replace the defaults; an empty Accept removes that header.
func Request(ctx context.Context, g *corev1.HTTPGetAction, addr, agent string) (*http.Request, error) {
	u, err := url.Parse(g.Path)
	if err != nil {
		u = &url.URL{Path: g.Path}
	}
	u.Scheme, u.Host = "http", addr
	if g.Scheme != "" {
		u.Scheme = strings.ToLower(string(g.Scheme))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, h := range g.HTTPHeaders {
		req.Header.Add(h.Name, h.Value)
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header.Set("User-Agent", agent)
	}
	if accept, ok := req.Header["Accept"]; !ok {
		req.Header.Set("Accept", "*/*")
	} else if accept[0] == "" {
		req.Header.Del("Accept")
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	return req, nil
}

// SameHost follows redirects on the same host. One to another host is the
// answer: the pod is well, whatever the other is, and does not choose whom a
// kubelet calls.
func SameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}
