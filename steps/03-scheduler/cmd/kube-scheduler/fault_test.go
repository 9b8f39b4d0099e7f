package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"

	"k8s.io/client-go/tools/clientcmd"
)

// A fault is a server between the scheduler and the API server that can lose
// requests and answers.
type fault struct {
	loseAnswers  atomic.Int32 // of so many binds that have been done
	loseRequests atomic.Int32
	forbidBinds  atomic.Bool
	refuse       atomic.Bool  // everything, as if the server were down
	keepPods     atomic.Int32 // so often nobody may end a pod

	lists, watches, binds atomic.Int32 // of pods, so far; watches are those that go on

	// A watch that tells of a pod named hidden waits for this, unless it is nil.
	revealed     chan struct{}
	toldOfWaiter atomic.Bool // of a pod named waiter

	// A bind says that it has begun and waits to go on, unless these are nil.
	begun, goOn chan struct{}
	givenUp     atomic.Bool
}

// hold keeps a bind waiting, and says whether somebody still waits for its answer.
func (f *fault) hold(r *http.Request) bool {
	if f.goOn == nil {
		return true
	}
	f.begun <- struct{}{}
	select {
	case <-f.goOn:
	case <-r.Context().Done():
		f.givenUp.Store(true)
	}
	return r.Context().Err() == nil
}

// A curtain hides from a watch what is behind it.
type curtain struct {
	http.ResponseWriter
	f *fault
}

func (c curtain) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c curtain) Write(b []byte) (int, error) {
	if c.f.revealed != nil && bytes.Contains(b, []byte("hidden")) {
		<-c.f.revealed
	}
	n, err := c.ResponseWriter.Write(b)
	if bytes.Contains(b, []byte("waiter")) {
		c.f.toldOfWaiter.Store(true)
	}
	return n, err
}

// behind returns the cluster as seen through a fault.
func (c *cluster) behind(f *fault) *cluster {
	c.t.Helper()
	conf, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		c.t.Fatal(err)
	}
	target, err := url.Parse(conf.Host)
	if err != nil || target.Scheme != "http" {
		c.t.Skipf("only a server in this process can be reached through another: %v", err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bind := strings.HasSuffix(r.URL.Path, "/binding")
		switch {
		case bind:
			f.binds.Add(1)
			if !f.hold(r) {
				panic(http.ErrAbortHandler)
			}
		case r.Method == http.MethodGet && r.URL.Path == "/api/v1/pods" && r.URL.Query().Has("watch"):
			f.watches.Add(1)
			defer f.watches.Add(-1)
			w = curtain{w, f}
		case r.Method == http.MethodGet && r.URL.Path == "/api/v1/pods":
			f.lists.Add(1)
		}
		switch {
		case f.refuse.Load(), bind && f.loseRequests.Add(-1) >= 0:
			panic(http.ErrAbortHandler)
		case bind && f.loseAnswers.Add(-1) >= 0:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case bind && f.forbidBinds.Load():
			http.Error(w, "not by you", http.StatusForbidden)
			return
		case r.Method == http.MethodDelete && f.keepPods.Add(-1) >= 0:
			http.Error(w, "not now", http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	c.t.Cleanup(server.Close)
	seen := *c
	seen.kubeconfig = writeKubeconfig(c.t, server.URL)
	return &seen
}
