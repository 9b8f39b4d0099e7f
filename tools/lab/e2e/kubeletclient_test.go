package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

// The programs below are clients of the kubelet's streaming paths, made of the
// same library as kubectl. $KUBELET is its URL and $PKI has the certificates.

func clientConfig() *rest.Config {
	pki := os.Getenv("PKI")
	return &rest.Config{Host: os.Getenv("KUBELET"), TLSClientConfig: rest.TLSClientConfig{
		CAFile: filepath.Join(pki, "ca.crt"), CertFile: filepath.Join(pki, "admin.crt"), KeyFile: filepath.Join(pki, "admin.key"),
	}}
}

func podURL(verb, pod, rest string, query url.Values) *url.URL {
	u, err := url.Parse(os.Getenv("KUBELET"))
	if err != nil {
		fatal(err)
	}
	u.Path = "/" + verb + "/default/" + pod + "-" + os.Getenv("NODE") + rest
	u.RawQuery = query.Encode()
	return u
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// execMain runs a command in a container, with this process's standard streams,
// and ends with the command's exit code.
func execMain() {
	overSPDY := flag.Bool("spdy", false, "SPDY instead of WebSocket")
	stdin := flag.Bool("i", false, "pass standard input")
	tty := flag.Bool("t", false, "with a terminal")
	attach := flag.Bool("attach", false, "to the container's own process")
	flag.Parse()
	pod, container, command := flag.Arg(0), flag.Arg(1), flag.Args()[2:]
	verb := "exec"
	if *attach {
		verb = "attach"
	}
	set := func(b bool) []string {
		if b {
			return []string{"1"}
		}
		return nil
	}
	u := podURL(verb, pod, "/"+container, url.Values{
		"command": command, "input": set(*stdin), "output": {"1"}, "error": set(!*tty), "tty": set(*tty),
	})
	executor, err := newExecutor(*overSPDY, u)
	if err != nil {
		fatal(err)
	}
	options := remotecommand.StreamOptions{Stdout: os.Stdout, Tty: *tty}
	if *stdin {
		options.Stdin = os.Stdin
	}
	if !*tty {
		options.Stderr = os.Stderr
	}
	err = executor.StreamWithContext(context.Background(), options)
	var exit exec.CodeExitError
	if errors.As(err, &exit) {
		os.Exit(exit.Code)
	} else if err != nil {
		fatal(err)
	}
}

func newExecutor(overSPDY bool, u *url.URL) (remotecommand.Executor, error) {
	if overSPDY {
		return remotecommand.NewSPDYExecutor(clientConfig(), http.MethodPost, u)
	}
	// v5 is for API servers: a kubelet, upstream's as well, stops at v4.
	return remotecommand.NewWebSocketExecutorForProtocols(clientConfig(), http.MethodGet, u.String(), "v4.channel.k8s.io")
}

// forwardMain gets a path from a port of a pod, through the kubelet, over SPDY:
// the library's WebSocket tunnel ends at API servers.
func forwardMain() {
	flag.Parse()
	pod, port, path := flag.Arg(0), flag.Arg(1), flag.Arg(2)
	transport, upgrader, err := spdy.RoundTripperFor(clientConfig())
	if err != nil {
		fatal(err)
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, podURL("portForward", pod, "", nil))
	stop, ready := make(chan struct{}), make(chan struct{})
	f, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:" + port}, stop, ready, io.Discard, os.Stderr)
	if err != nil {
		fatal(err)
	}
	failed := make(chan error, 1)
	go func() { failed <- f.ForwardPorts() }()
	select {
	case err := <-failed:
		fatal(err)
	case <-ready:
	}
	ports, err := f.GetPorts()
	if err != nil {
		fatal(err)
	}
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", ports[0].Local, path))
	if err != nil {
		fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		fatal(err)
	}
	close(stop)
	<-failed
}
