package net

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Ping is ping [-c COUNT] [-i SECONDS] [-W SECONDS] HOST, IPv4. It needs
// CAP_NET_RAW, or a group in net.ipv4.ping_group_range.
func Ping(args []string) error {
	o, rest, err := tool.Parse(args, "c:i:W:w:qn4")
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return errors.New("want a host")
	}
	count := -1
	if o.Has('c') {
		if count, err = strconv.Atoi(o['c']); err != nil {
			return err
		}
	}
	every, wait := time.Second, 5*time.Second
	if o.Has('i') {
		if every, err = seconds(o['i'], nil); err != nil {
			return err
		}
	}
	if o.Has('W') {
		if wait, err = seconds(o['W'], nil); err != nil {
			return err
		}
	}
	host, err := net.ResolveIPAddr("ip4", rest[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(tool.Out, "PING %s (%s): 56 data bytes\n", rest[0], host)
	p := &pinger{host: host, wait: wait}
	if err := p.open(); err != nil {
		return err
	}
	defer p.conn.Close()
	return p.run(count, every)
}

type pinger struct {
	host *net.IPAddr
	to   net.Addr
	conn *icmp.PacketConn
	wait time.Duration
}

// open prefers a raw socket, as ping with its capability has.
func (p *pinger) open() (err error) {
	p.to = p.host
	if p.conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0"); err == nil {
		return nil
	}
	p.to = &net.UDPAddr{IP: p.host.IP}
	if p.conn, err = icmp.ListenPacket("udp4", "0.0.0.0"); err != nil {
		return errors.New("permission denied (are you root?)")
	}
	return nil
}

func (p *pinger) run(count int, every time.Duration) error {
	sent, received := 0, 0
	for count < 0 || sent < count {
		if sent > 0 {
			time.Sleep(every)
		}
		took, err := p.once(sent)
		sent++
		if err == nil {
			received++
			fmt.Fprintf(tool.Out, "64 bytes from %s: seq=%d time=%.3f ms\n", p.host, sent-1, took.Seconds()*1000)
		} else {
			fmt.Fprintf(tool.Out, "no answer from %s: seq=%d: %v\n", p.host, sent-1, err)
		}
		if err := tool.Out.Flush(); err != nil {
			return tool.Exit(1)
		}
	}
	fmt.Fprintf(tool.Out, "\n%d packets transmitted, %d packets received, %d%% packet loss\n", sent, received, 100*(sent-received)/max(sent, 1))
	if received == 0 {
		return tool.Exit(1)
	}
	return nil
}

func (p *pinger) once(seq int) (time.Duration, error) {
	id := os.Getpid() & 0xffff
	request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: id, Seq: seq, Data: make([]byte, 56)}}
	raw, err := request.Marshal(nil)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if _, err := p.conn.WriteTo(raw, p.to); err != nil {
		return 0, err
	}
	if err := p.conn.SetReadDeadline(start.Add(p.wait)); err != nil {
		return 0, err
	}
	buffer := make([]byte, 1500)
	for {
		n, _, err := p.conn.ReadFrom(buffer)
		if err != nil {
			return 0, err
		}
		answer, err := icmp.ParseMessage(1, buffer[:n])
		if err != nil || answer.Type != ipv4.ICMPTypeEchoReply {
			continue // our own request on loopback, or somebody else's packet
		}
		if echo, ok := answer.Body.(*icmp.Echo); ok && echo.Seq == seq {
			return time.Since(start), nil
		}
	}
}
