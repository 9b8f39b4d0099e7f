// Command web is a web server that tells who answers: its pod, node, namespace
// and address, and what the request looked like when it arrived. Probes have
// something to ask, and what they ask can be made to fail.
//
//	GET  /                   who answers, for people
//	GET  /json               the same, for programs
//	GET  /healthz, /readyz   200 or 503
//	POST /healthz?ok=false   answer 503 from now on; the same for /readyz
//	GET  /env                the environment, one variable for each line
//	GET  /slow?d=2s          answer after a while
//	GET  /exit?code=3        end with that exit code
//
// With -dir every other path is a file of that directory. On SIGTERM it stops
// being ready, finishes the requests that it has, and ends with code 0.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

type config struct {
	name     string
	port     int
	dir      string
	echoPort int
	grpcPort int
	pidFile  string
	delay    time.Duration
	grace    time.Duration
}

func main() {
	log.SetOutput(os.Stdout)
	log.SetFlags(log.LstdFlags | log.LUTC)
	var c config
	flag.StringVar(&c.name, "name", "web", "`NAME` to show in answers and in the log")
	flag.IntVar(&c.port, "port", 8080, "TCP `PORT` for HTTP")
	flag.StringVar(&c.dir, "dir", "", "serve the files of `DIR`")
	flag.IntVar(&c.echoPort, "echo-port", 0, "TCP `PORT` that sends back what it gets; 0 for none")
	flag.IntVar(&c.grpcPort, "grpc-port", 0, "TCP `PORT` for grpc.health.v1; 0 for none")
	flag.StringVar(&c.pidFile, "pid-file", "", "write the process id to `FILE`")
	flag.DurationVar(&c.delay, "ready-after", 0, "`DURATION` until /readyz says yes")
	flag.DurationVar(&c.grace, "grace", 10*time.Second, "`DURATION` that requests get to finish after SIGTERM")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, c); err != nil {
		log.Fatalf("%s: %v", c.name, err)
	}
}

func run(ctx context.Context, c config) error {
	if c.pidFile != "" {
		if err := os.WriteFile(c.pidFile, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return err
		}
		defer os.Remove(c.pidFile)
	}
	s := newServer(c)
	failed := make(chan error, 3)
	var servers []*http.Server
	listen := func(port int, h http.Handler) error {
		server := &http.Server{Handler: h, Protocols: new(http.Protocols)}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true) // gRPC without TLS
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			return err
		}
		servers = append(servers, server)
		go func() { failed <- server.Serve(l) }()
		return nil
	}
	if err := listen(c.port, s.handler()); err != nil {
		return err
	}
	if c.grpcPort != 0 {
		if err := listen(c.grpcPort, http.HandlerFunc(s.grpcHealth)); err != nil {
			return err
		}
	}
	if c.echoPort != 0 {
		if err := listenEcho(ctx, c.echoPort); err != nil {
			return err
		}
	}
	log.Printf("%s listens on port %d as pod %s", c.name, c.port, s.who.Pod)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Printf("%s stops", c.name)
	s.ready.Store(false)
	return shutDown(servers, c.grace)
}

func shutDown(servers []*http.Server, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
