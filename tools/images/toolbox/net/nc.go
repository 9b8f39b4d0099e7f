package net

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Nc is nc [-u] [-z] [-w SECONDS] HOST PORT, and nc -l [-k] [-p] PORT [-e PROGRAM].
func Nc(args []string) error {
	o, rest, err := tool.Parse(args, "luzkvnw:p:e:U")
	if err != nil {
		return err
	}
	network := "tcp"
	if o.Has('u') {
		network = "udp"
	}
	limit := forever
	if o.Has('w') {
		if limit, err = seconds(o['w'], nil); err != nil {
			return err
		}
	}
	if o.Has('l') {
		if o.Has('p') {
			rest = append(rest, o['p'])
		}
		if len(rest) == 0 {
			return errors.New("want a port to listen on")
		}
		return listen(network, ":"+rest[len(rest)-1], o)
	}
	if len(rest) != 2 {
		return errors.New("want a host and a port")
	}
	c, err := net.DialTimeout(network, net.JoinHostPort(rest[0], rest[1]), limit)
	if err != nil {
		return err
	}
	defer c.Close()
	if o.Has('z') {
		return nil
	}
	if o.Has('w') {
		if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
	}
	return talk(c, o)
}

func listen(network, address string, o tool.Options) error {
	if network == "udp" {
		return listenPackets(address)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	defer l.Close()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if err := talk(c, o); err != nil || !o.Has('k') {
			return err
		}
	}
}

func listenPackets(address string) error {
	p, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	defer p.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, _, err := p.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(buffer[:n]); err != nil {
			return err
		}
	}
}

// talk joins the connection to standard input and output, or to a program. It
// ends when the other side has said all; the end of our input is told to it.
func talk(c net.Conn, o tool.Options) error {
	defer c.Close()
	if program := o['e']; program != "" {
		cmd := exec.Command(program)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c, c, os.Stderr
		return cmd.Run()
	}
	go func() { // ends with the connection or the process
		_, _ = io.Copy(c, os.Stdin)
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err := io.Copy(os.Stdout, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
