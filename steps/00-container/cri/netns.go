package cri

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// dialPod connects to a port on a pod's loopback, IPv4 first.
func (s *Service) dialPod(ctx context.Context, sb *sandbox, port int32) (conn net.Conn, err error) {
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("%w: port %d", errInvalid, port)
	}
	dial := func() error {
		var d net.Dialer
		for _, loopback := range []string{"127.0.0.1", "::1"} {
			c, err2 := d.DialContext(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(int(port))))
			if err2 == nil {
				conn, err = c, nil
				return nil
			}
			err = errors.Join(err, err2)
		}
		return err
	}
	if hostNetwork(sb.Config) {
		return conn, dial()
	}
	return conn, inNetns(s.dirs.Netns(sb.ID), dial)
}

// inNetns calls f on a thread of its own in a network namespace. Sockets that
// f makes belong there for good; the thread is thrown away.
//
// Dialing a single numeric address makes the socket on the calling goroutine,
// which is what makes this work with net.Dialer.
func inNetns(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("join %s: %w", path, err)
			return
		}
		done <- f()
	}()
	return <-done
}
