// Command toolbox is a shell and some eighty small programs in one file. A link
// named after a program runs that program; so does toolbox NAME.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/core"
	"github.com/u-root/u-root/pkg/core/base64"
	"github.com/u-root/u-root/pkg/core/cat"
	"github.com/u-root/u-root/pkg/core/chmod"
	"github.com/u-root/u-root/pkg/core/cp"
	"github.com/u-root/u-root/pkg/core/find"
	"github.com/u-root/u-root/pkg/core/gzip"
	"github.com/u-root/u-root/pkg/core/ls"
	"github.com/u-root/u-root/pkg/core/mktemp"
	"github.com/u-root/u-root/pkg/core/mv"
	"github.com/u-root/u-root/pkg/core/rm"
	"github.com/u-root/u-root/pkg/core/shasum"
	"github.com/u-root/u-root/pkg/core/tar"
	"github.com/u-root/u-root/pkg/core/touch"
	"github.com/u-root/u-root/pkg/core/xargs"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/file"
	"github.com/k8s-groundup/groundup/tools/images/toolbox/net"
	"github.com/k8s-groundup/groundup/tools/images/toolbox/process"
	"github.com/k8s-groundup/groundup/tools/images/toolbox/shell"
	"github.com/k8s-groundup/groundup/tools/images/toolbox/text"
	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// programs says where each one comes from.
func programs() map[string]tool.Main {
	return map[string]tool.Main{
		// the shell, and what it has built in
		"sh": shell.Main, "bash": shell.Main,
		"echo": shell.Builtin("echo"), "printf": shell.Builtin("printf"), "pwd": shell.Builtin("pwd"),
		"test": shell.Builtin("test"), "[": shell.Builtin("["),
		"true": shell.Builtin("true"), "false": shell.Builtin("false"),

		// u-root
		"base64": library(base64.New()), "cat": library(cat.New()), "chmod": reporter(chmod.New()), "cp": library(cp.New()),
		"find": library(find.New()), "gzip": library(gzip.New("gzip")), "gunzip": library(gzip.New("gunzip")), "ls": list,
		"mktemp": library(mktemp.New()), "mv": library(mv.New()), "rm": library(rm.New()),
		"shasum": library(shasum.New()), "tar": library(tar.New()), "touch": library(touch.New()), "xargs": library(xargs.New()),

		// text
		"cut": text.Cut, "grep": text.Grep, "head": text.Head, "sed": text.Sed, "seq": text.Seq, "sort": text.Sort,
		"tail": text.Tail, "tee": text.Tee, "tr": text.Tr, "uniq": text.Uniq, "wc": text.Wc, "yes": text.Yes,

		// files and file systems
		"basename": file.Basename, "chown": file.Chown, "dd": file.Dd, "df": file.Df, "dirname": file.Dirname, "du": file.Du,
		"ln": file.Ln, "mkdir": file.Mkdir, "mkfifo": file.Mkfifo, "mount": file.Mount, "readlink": file.Readlink, "realpath": file.Realpath,
		"rmdir": file.Rmdir, "stat": file.Stat, "sync": file.Sync, "truncate": file.Truncate, "umount": file.Umount, "which": file.Which,

		// processes and the system
		"date": process.Date, "env": process.Env, "free": process.Free, "hostname": process.Hostname, "id": process.Id,
		"ipcs": process.Ipcs, "kill": process.Kill, "nproc": process.Nproc, "pgrep": process.Pgrep, "pidof": process.Pidof,
		"pkill": process.Pkill, "printenv": process.Env, "ps": process.Ps, "sleep": process.Sleep, "stress": process.Stress,
		"sysctl": process.Sysctl, "time": process.Time, "timeout": process.Timeout, "top": process.Top, "uname": process.Uname,
		"uptime": process.Uptime, "whoami": process.Whoami,

		// the network
		"brctl": net.Brctl, "curl": net.Curl, "httpd": net.Httpd, "ip": net.IP, "nc": net.Nc, "netstat": net.Netstat,
		"nslookup": net.Nslookup, "ping": net.Ping, "wget": net.Wget,
	}
}

// library runs a program of u-root on the process's own standard streams. It
// must not share our buffer: some of them write to the streams by themselves.
func library(c core.Command) tool.Main {
	return func(args []string) error {
		c.SetIO(os.Stdin, os.Stdout, os.Stderr)
		return c.Run(args...)
	}
}

// reporter runs a program of u-root that prints its errors itself, to word
// them as the others do.
func reporter(c core.Command) tool.Main {
	return func(args []string) error {
		var said strings.Builder
		c.SetIO(os.Stdin, os.Stdout, &said)
		if err := c.Run(args...); err != nil && said.Len() == 0 {
			return err
		}
		if said.Len() > 0 {
			return errors.New(said.String())
		}
		return nil
	}
}

// list is u-root's ls with the options of other ls programs: -A is -a without
// the directory itself, and one name on each line is what it prints anyway.
func list(args []string) error {
	var known []string
	almost := false
	for _, a := range args {
		if len(a) > 1 && a[0] == '-' && a[1] != '-' {
			almost = almost || strings.Contains(a, "A")
			a = strings.NewReplacer("A", "a", "1", "", "n", "", "i", "").Replace(a)
		}
		if a != "-" {
			known = append(known, a)
		}
	}
	if !almost {
		return library(ls.New())(known)
	}
	var out bytes.Buffer
	c := ls.New()
	c.SetIO(os.Stdin, &out, os.Stderr)
	err := c.Run(known...)
	for line := range strings.Lines(out.String()) {
		if words := strings.Fields(line); len(words) == 0 || words[len(words)-1] != "." {
			fmt.Fprint(tool.Out, line)
		}
	}
	return err
}

func main() {
	args := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	if args[0][0] == '-' { // a login shell
		args[0] = args[0][1:]
	}
	all := programs()
	if all[args[0]] == nil { // not by a link: the first argument is the name
		args = args[1:]
	}
	if len(args) == 0 || args[0] == "--list" {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			fmt.Println(name)
		}
		return
	}
	main := all[args[0]]
	if main == nil {
		fmt.Fprintf(os.Stderr, "toolbox: there is no program %q\n", args[0])
		os.Exit(127)
	}
	os.Exit(tool.Run(args[0], main, args[1:]))
}
