package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

// A logRequest is the query of /containerLogs: corev1.PodLogOptions.
type logRequest struct {
	options  crilog.Options
	previous bool
	stream   string // All, Stdout or Stderr
}

var (
	errBadQuery     = errors.New(`{"message": "Unable to decode query."}`)
	errInvalidQuery = errors.New(`{"message": "Invalid request."}`)
)

// parseLogQuery reads the parameters of a request at the time now.
func parseLogQuery(q url.Values, now time.Time) (logRequest, error) {
	p := parameters{q: q}
	r := logRequest{previous: p.bool("previous"), stream: corev1.LogStreamAll}
	r.options.Follow, r.options.Timestamps = p.bool("follow"), p.bool("timestamps")
	r.options.LimitBytes = p.int("limitBytes", 1)
	tail := "tailLines"
	if q.Get("tail") != "" { // its older name, in which "all" means no limit
		tail = "tail"
	}
	if q.Get(tail) != "all" {
		r.options.TailLines = p.int(tail, 0)
	}
	seconds, since := p.int("sinceSeconds", 1), p.time("sinceTime")
	switch {
	case seconds != nil && !since.IsZero():
		p.invalid = true
	case seconds != nil:
		since = now.Add(-time.Duration(*seconds) * time.Second)
	}
	r.options.Since = since
	if s := q.Get("stream"); s != "" {
		r.stream = s
	}
	known := r.stream == corev1.LogStreamAll || r.stream == corev1.LogStreamStdout || r.stream == corev1.LogStreamStderr
	switch {
	case p.bad:
		return logRequest{}, errBadQuery
	case p.invalid, !known, r.stream != corev1.LogStreamAll && r.options.TailLines != nil:
		return logRequest{}, errInvalidQuery
	}
	return r, nil
}

// parameters reads values and remembers whether one could not be read (bad) or
// does not make sense (invalid).
type parameters struct {
	q            url.Values
	bad, invalid bool
}

func (p *parameters) bool(name string) bool {
	s := p.q.Get(name)
	if s == "" {
		return false
	}
	v, err := strconv.ParseBool(s)
	p.bad = p.bad || err != nil
	return v
}

func (p *parameters) int(name string, min int64) *int64 {
	s := p.q.Get(name)
	if s == "" {
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	p.bad = p.bad || err != nil
	p.invalid = p.invalid || v < min
	return &v
}

func (p *parameters) time(name string) time.Time {
	s := p.q.Get(name)
	if s == "" {
		return time.Time{}
	}
	v, err := time.Parse(time.RFC3339, s)
	p.bad = p.bad || err != nil
	return v
}

func (s *Server) containerLogs(w http.ResponseWriter, r *http.Request) {
	want, err := parseLogQuery(r.URL.Query(), time.Now())
	switch {
	case errors.Is(err, errBadQuery):
		writeError(w, http.StatusBadRequest, err.Error())
		return
	case err != nil:
		writeError(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	name := r.PathValue("container")
	pod, ok := s.pod(r)
	if !ok {
		writeError(w, http.StatusNotFound, fmt.Sprintf("pod %q does not exist", r.PathValue("pod")))
		return
	}
	if !hasContainer(pod, name) {
		writeError(w, http.StatusNotFound, fmt.Sprintf("container %q not found in pod %q", name, pod.Name))
		return
	}
	out := &body{w: w, flush: want.options.Follow}
	if err := s.copyLog(r.Context(), pod, name, want, out); err != nil && !out.begun {
		writeError(w, http.StatusBadRequest, err.Error())
	}
}

// copyLog writes a container's log, and with follow stays until it has ended.
func (s *Server) copyLog(ctx context.Context, pod *corev1.Pod, name string, want logRequest, out *body) error {
	id, err := logSource(pod, name, want.previous)
	if err != nil {
		return err
	}
	status, err := s.containerStatus(ctx, id)
	if err != nil {
		return err
	}
	path := status.GetLogPath()
	if rel, err := filepath.Rel(s.conf.PodLogsDir, path); s.conf.PodLogsDir != "" && (err != nil || !filepath.IsLocal(rel)) {
		return fmt.Errorf("log of container %q: %s is not in %s", name, path, s.conf.PodLogsDir)
	}
	if want.options.Follow {
		out.start() // so that the client sees that there is somebody
	}
	want.options.Ended = func() bool {
		now, err := s.containerStatus(ctx, id)
		return err != nil || now.GetState() != runtimeapi.ContainerState_CONTAINER_RUNNING
	}
	var stdout, stderr io.Writer = out, out
	if want.stream == corev1.LogStreamStdout {
		stderr = nil
	}
	if want.stream == corev1.LogStreamStderr {
		stdout = nil
	}
	return crilog.Read(ctx, path, want.options, stdout, stderr)
}

func (s *Server) containerStatus(ctx context.Context, id string) (*runtimeapi.ContainerStatus, error) {
	reply, err := s.conf.Runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		return nil, err
	}
	return reply.GetStatus(), nil
}

// body is a response that knows whether it has begun: after that there is no
// way to report an error any more.
type body struct {
	w     http.ResponseWriter
	flush bool
	begun bool
}

// start sends the header.
func (b *body) start() {
	b.Write(nil)
}

// Write implements io.Writer.
func (b *body) Write(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	n, err := b.w.Write(p)
	if err == nil && b.flush {
		err = http.NewResponseController(b.w).Flush()
	}
	return n, err
}
