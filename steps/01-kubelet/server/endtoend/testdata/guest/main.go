// Command guest is the program of the pods in these tests.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(word string, args []string) error {
	switch word {
	case "echo":
		fmt.Println(strings.Join(args, " "))
	case "cat":
		if len(args) == 0 {
			_, err := io.Copy(os.Stdout, os.Stdin)
			return err
		}
		data, err := os.ReadFile(args[0])
		fmt.Printf("%s", data)
		return err
	case "write":
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "stat":
		info, err := os.Stat(args[0])
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Println(info.Mode(), st.Uid, st.Gid)
	case "id":
		groups, err := os.Getgroups()
		fmt.Println(os.Getuid(), os.Getgid(), groups)
		return err
	case "env":
		fmt.Println(os.Getenv(args[0]))
	case "hostname":
		name, err := os.Hostname()
		fmt.Println(name)
		return err
	case "exit":
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "serve":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM) // before anyone is told that we serve
		fmt.Println("serving")
		fmt.Fprintln(os.Stderr, "on "+args[0])
		go http.ListenAndServe("127.0.0.1:"+args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello from the pod") }))
		<-stop
		fmt.Println("stopped")
	}
	return nil
}
