// Guest is what runs in the containers of this step's tests: one static
// program that does, by its first argument, one thing a test can see.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		os.Args = append(os.Args, "pause")
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func run(what string, args []string) error {
	switch what {
	case "pause": // until SIGTERM, which ends it with status 0
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		fmt.Println("ready")
		<-signals
	case "stubborn": // until SIGKILL
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(1 << 62)
	case "exit":
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "echo":
		fmt.Println(strings.Join(args, " "))
	case "echo-err":
		fmt.Fprintln(os.Stderr, strings.Join(args, " "))
	case "cat":
		if len(args) == 0 {
			_, err := io.Copy(os.Stdout, os.Stdin)
			return err
		}
		for _, name := range args {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			os.Stdout.Write(data)
		}
	case "ls": // with modes, owners and device numbers
		return ls(args)
	case "write":
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "count": // N numbered lines, as fast as they are taken, with a pause in microseconds
		return count(args)
	case "fill": // memory
		return fill(args[0])
	case "id":
		groups, _ := os.Getgroups()
		fmt.Println(os.Getuid(), os.Getgid(), groups)
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "hostname":
		name, err := os.Hostname()
		fmt.Println(name)
		return err
	case "readlink":
		target, err := os.Readlink(args[0])
		fmt.Println(target)
		return err
	case "tty":
		return tty()
	case "orphan": // leaves a child behind for PID 1
		return exec.Command("/proc/self/exe", "sleep", "1").Start()
	case "sleep":
		seconds, err := strconv.ParseFloat(args[0], 64)
		time.Sleep(time.Duration(seconds * float64(time.Second)))
		return err
	case "ps":
		return ps()
	case "serve": // each line that comes back, on a TCP port of the loopback
		return serve(args[0])
	default:
		return fmt.Errorf("unknown command %q", what)
	}
	return nil
}

func count(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var wait time.Duration
	if len(args) > 1 {
		us, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		wait = time.Duration(us) * time.Microsecond
	}
	for i := range n {
		if _, err := fmt.Fprintf(os.Stdout, "line %d\n", i); err != nil {
			return err
		}
		if wait > 0 {
			time.Sleep(wait)
		}
	}
	return nil
}

func fill(mebibytes string) error {
	n, err := strconv.Atoi(mebibytes)
	if err != nil {
		return err
	}
	var kept [][]byte
	for range n {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	fmt.Println(len(kept), "MiB")
	return nil
}

// tty prints the size of the terminal each time it changes, until "quit".
func tty() error {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for range changed {
			fmt.Println("size", size())
		}
	}()
	fmt.Println("size", size())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println("got", in.Text())
		if in.Text() == "quit" {
			return nil
		}
	}
	return in.Err()
}

func ps() error {
	entries, err := os.ReadDir("/proc")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			comm, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
			fmt.Println(e.Name(), strings.TrimSpace(string(comm)))
		}
	}
	return err
}

func ls(dirs []string) error {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				return err
			}
			st := info.Sys().(*syscall.Stat_t)
			target, _ := os.Readlink(dir + "/" + e.Name()) // empty for what is no link
			fmt.Println(info.Mode(), st.Uid, st.Gid, st.Rdev, dir+"/"+e.Name(), target)
		}
	}
	return nil
}

func serve(port string) error {
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}
