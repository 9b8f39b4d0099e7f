package main

import (
	"context"
	"io"
	"log"
	"net"
	"strconv"
)

// listenEcho sends back what it gets, until ctx is done.
func listenEcho(ctx context.Context, port int) error {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	return nil
}

func echo(c net.Conn) {
	defer c.Close()
	n, _ := io.Copy(c, c) // the client may go at any time
	log.Printf("echo %d bytes %s", n, c.RemoteAddr())
}
