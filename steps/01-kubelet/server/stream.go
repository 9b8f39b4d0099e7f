package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// exec, attach and portForward turn a request into a connection with several
// streams in it, over SPDY or WebSocket. The protocol is the library's; the other end of the
// streams is the runtime in this process or, for one behind a socket, its own
// streaming server, to which the connection is then passed on as it is.

func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	id, options, ok := s.streamTarget(w, r)
	if !ok {
		return
	}
	command := r.URL.Query()["command"]
	if s.conf.Streaming != nil {
		remotecommand.ServeExec(w, r, streams{s.conf.Streaming}, "", "", id, command, options,
			streaming.DefaultConfig.StreamIdleTimeout, streaming.DefaultConfig.StreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
		return
	}
	reply, err := s.conf.Runtime.Exec(r.Context(), &runtimeapi.ExecRequest{
		ContainerId: id, Cmd: command, Tty: options.TTY, Stdin: options.Stdin, Stdout: options.Stdout, Stderr: options.Stderr,
	})
	s.proxy(w, r, reply.GetUrl(), err)
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	id, options, ok := s.streamTarget(w, r)
	if !ok {
		return
	}
	if s.conf.Streaming != nil {
		remotecommand.ServeAttach(w, r, streams{s.conf.Streaming}, "", "", id, options,
			streaming.DefaultConfig.StreamIdleTimeout, streaming.DefaultConfig.StreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
		return
	}
	reply, err := s.conf.Runtime.Attach(r.Context(), &runtimeapi.AttachRequest{
		ContainerId: id, Tty: options.TTY, Stdin: options.Stdin, Stdout: options.Stdout, Stderr: options.Stderr,
	})
	s.proxy(w, r, reply.GetUrl(), err)
}

// streamTarget finds the container that a request names; when it can't, it
// has answered.
func (s *Server) streamTarget(w http.ResponseWriter, r *http.Request) (id string, options *remotecommand.Options, ok bool) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return "", nil, false
	}
	pod, ok := s.pod(r)
	if !ok {
		writeError(w, http.StatusNotFound, "pod does not exist")
		return "", nil, false
	}
	id, err = running(pod, r.PathValue("container"))
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return "", nil, false
	}
	return id, options, true
}

func (s *Server) portForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	pod, ok := s.pod(r)
	if !ok {
		writeError(w, http.StatusNotFound, "pod does not exist")
		return
	}
	id, err := s.sandbox(r.Context(), pod)
	if err != nil {
		streaming.WriteError(err, w)
		return
	}
	if s.conf.Streaming != nil {
		portforward.ServePortForward(w, r, streams{s.conf.Streaming}, id, "", options,
			streaming.DefaultConfig.StreamIdleTimeout, streaming.DefaultConfig.StreamCreationTimeout, portforward.SupportedProtocols)
		return
	}
	reply, err := s.conf.Runtime.PortForward(r.Context(), &runtimeapi.PortForwardRequest{PodSandboxId: id, Port: options.Ports})
	s.proxy(w, r, reply.GetUrl(), err)
}

// run answers with the output of a command, without streams.
func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	pod, ok := s.pod(r)
	if !ok {
		writeError(w, http.StatusNotFound, "pod does not exist")
		return
	}
	output, err := s.runCommand(r.Context(), pod, r.PathValue("container"), strings.Split(r.FormValue("cmd"), " "))
	if err != nil {
		writeError(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json") // as upstream, whatever it is
	w.Write(output)
}

func (s *Server) runCommand(ctx context.Context, pod *corev1.Pod, container string, command []string) ([]byte, error) {
	id, err := running(pod, container)
	if err != nil {
		return nil, err
	}
	reply, err := s.conf.Runtime.ExecSync(ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: command})
	if err != nil {
		return nil, err
	}
	output := append(reply.Stdout, reply.Stderr...)
	if reply.ExitCode != 0 {
		return nil, fmt.Errorf("command '%s' exited with %d: %s", strings.Join(command, " "), reply.ExitCode, output)
	}
	return output, nil
}

// proxy passes the connection on to the runtime's streaming server.
func (s *Server) proxy(w http.ResponseWriter, r *http.Request, target string, err error) {
	if err != nil {
		streaming.WriteError(err, w)
		return
	}
	u, err := url.Parse(target)
	if err != nil {
		writeError(w, http.StatusInternalServerError, fmt.Sprintf("streaming URL of the runtime: %v", err))
		return
	}
	p := &httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.Out.URL, p.Out.Host = u, u.Host },
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			writeError(w, http.StatusInternalServerError, fmt.Sprintf("streaming server of the runtime: %v", err))
		},
	}
	p.ServeHTTP(w, r)
}

// streams gives the runtime in this process the shape that the library wants:
// a container or sandbox id in place of the names.
type streams struct{ streaming.Runtime }

var (
	_ remotecommand.Executor    = streams{}
	_ remotecommand.Attacher    = streams{}
	_ portforward.PortForwarder = streams{}
)

// ExecInContainer implements remotecommand.Executor.
func (s streams) ExecInContainer(ctx context.Context, _, _, id string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	return s.Exec(ctx, id, command, in, out, errOut, tty, resize)
}

// AttachContainer implements remotecommand.Attacher.
func (s streams) AttachContainer(ctx context.Context, _, _, id string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	return s.Attach(ctx, id, in, out, errOut, tty, resize)
}

// PortForward implements portforward.PortForwarder.
func (s streams) PortForward(ctx context.Context, sandboxID, _ string, port int32, stream io.ReadWriteCloser) error {
	return s.Runtime.PortForward(ctx, sandboxID, port, stream)
}
