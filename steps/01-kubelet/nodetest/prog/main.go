// Command prog is what runs in the containers of tests: its arguments are a
// little script, one word and one value after the other.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	file := "/starts"
	for i := 1; i+1 < len(os.Args); i += 2 {
		word, value := os.Args[i], os.Args[i+1]
		switch word {
		case "note": // append a line to the file that the node keeps
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
			check(err)
			fmt.Fprintln(f, value)
			check(f.Close())
		case "file":
			file = value
		case "print":
			fmt.Println(value)
		case "write": // a termination message
			check(os.WriteFile("/dev/termination-log", []byte(value), 0o644))
		case "serve": // says hello to who connects
			l, err := net.Listen("tcp", value)
			check(err)
			go hello(l)
		case "sleep":
			d, err := time.ParseDuration(value)
			check(err)
			select {
			case <-time.After(d):
			case <-terminated:
				return
			}
		case "linger": // after SIGTERM
			<-terminated
			d, err := time.ParseDuration(value)
			check(err)
			time.Sleep(d)
		case "deaf":
			signal.Ignore(syscall.SIGTERM)
			d, err := time.ParseDuration(value)
			check(err)
			time.Sleep(d)
		case "eat": // memory, in MiB
			n, err := strconv.Atoi(value)
			check(err)
			for data := make([]byte, n<<20); ; time.Sleep(time.Second) {
				for j := range data {
					data[j] = byte(j)
				}
			}
		case "exit":
			code, err := strconv.Atoi(value)
			check(err)
			os.Exit(code)
		}
	}
}

func hello(l net.Listener) {
	for {
		c, err := l.Accept()
		check(err)
		fmt.Fprintln(c, "hello")
		c.Close()
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}
