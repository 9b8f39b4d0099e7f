package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writeError answers in plain text, as upstream's kubelet does.
func writeError(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	fmt.Fprint(w, message)
}

func writeJSON(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(data)
}

func (s *Server) pods(w http.ResponseWriter, _ *http.Request) { writePods(w, s.conf.Kubelet.Pods()) }

func (s *Server) runningPods(w http.ResponseWriter, r *http.Request) {
	pods, err := s.conf.Kubelet.RunningPods(r.Context())
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	writePods(w, pods)
}

func writePods(w http.ResponseWriter, pods []*corev1.Pod) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, p := range pods {
		list.Items = append(list.Items, *p)
	}
	writeJSON(w, list)
}

func (s *Server) configz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{"kubeletconfig": s.conf.Configz})
}

func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	onlyCPUAndMemory := r.FormValue("only_cpu_and_memory") == "true"
	summary, err := s.conf.Stats.Summary(r.Context(), onlyCPUAndMemory)
	if err != nil {
		writeError(w, http.StatusInternalServerError, "Internal Error: "+err.Error())
		return
	}
	writeJSON(w, summary)
}

// A check is one reason why the kubelet may be unwell.
type check struct {
	name string
	ask  func() error
}

// checks is a handler that asks all of them.
type checks []check

// healthChecks are the health paths and what they ask.
func (s *Server) healthChecks() map[string]checks {
	ping := check{"ping", func() error { return nil }} // we do answer
	loop := check{"syncloop", s.conf.Kubelet.SyncLoopHealthy}
	return map[string]checks{"/healthz": {ping, loop}, "/healthz/ping": {ping}, "/healthz/syncloop": {loop}}
}

// ServeHTTP implements http.Handler. The reason of a failure is for the log,
// not for whoever asks.
func (c checks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	healthy := true
	for _, one := range c {
		if err := one.ask(); err != nil {
			healthy = false
			fmt.Fprintf(&b, "[-]%s failed: reason withheld\n", one.name)
		} else {
			fmt.Fprintf(&b, "[+]%s ok\n", one.name)
		}
	}
	_, verbose := r.URL.Query()["verbose"]
	switch {
	case !healthy:
		writeError(w, http.StatusInternalServerError, b.String()+"healthz check failed\n")
	case verbose:
		fmt.Fprint(w, b.String()+"healthz check passed\n")
	default:
		fmt.Fprint(w, "ok")
	}
}
