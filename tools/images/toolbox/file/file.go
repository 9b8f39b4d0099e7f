// Package file holds the toolbox's programs about files and file systems that
// no library has.
package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// each calls f for every name, and goes on after an error.
func each(names []string, f func(string) error) error {
	if len(names) == 0 {
		return errors.New("want a name")
	}
	var failed []error
	for _, n := range names {
		if err := f(n); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// Ln is ln [-s] [-f] [-n] TARGET [NAME].
func Ln(args []string) error {
	o, rest, err := tool.Parse(args, "sfnv")
	if err != nil {
		return err
	}
	if len(rest) == 1 {
		rest = append(rest, ".")
	}
	if len(rest) != 2 {
		return errors.New("want a target and a name")
	}
	target, name := rest[0], rest[1]
	if info, err := os.Stat(name); err == nil && info.IsDir() && !o.Has('n') {
		name = filepath.Join(name, filepath.Base(target))
	}
	if o.Has('f') {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if o.Has('s') {
		return os.Symlink(target, name)
	}
	return os.Link(target, name)
}

// Readlink is readlink [-f] NAME….
func Readlink(args []string) error {
	o, names, err := tool.Parse(args, "fn")
	if err != nil {
		return err
	}
	if o.Has('f') {
		return Realpath(names)
	}
	return each(names, func(n string) error {
		to, err := os.Readlink(n)
		if err != nil {
			return tool.Exit(1)
		}
		fmt.Fprintln(tool.Out, to)
		return nil
	})
}

// Realpath is realpath NAME….
func Realpath(names []string) error {
	return each(names, func(n string) error {
		p, err := filepath.EvalSymlinks(n)
		if err != nil {
			return err
		}
		if p, err = filepath.Abs(p); err == nil {
			fmt.Fprintln(tool.Out, p)
		}
		return err
	})
}

// Basename is basename NAME [SUFFIX].
func Basename(args []string) error {
	if len(args) == 0 {
		return errors.New("want a name")
	}
	base := filepath.Base(args[0])
	if len(args) > 1 && base != args[1] {
		base = strings.TrimSuffix(base, args[1])
	}
	fmt.Fprintln(tool.Out, base)
	return nil
}

// Dirname is dirname NAME….
func Dirname(names []string) error {
	return each(names, func(n string) error {
		_, err := fmt.Fprintln(tool.Out, filepath.Dir(n))
		return err
	})
}

// Rmdir is rmdir NAME….
func Rmdir(names []string) error { return each(names, syscall.Rmdir) }

// Mkfifo is mkfifo NAME….
func Mkfifo(names []string) error {
	return each(names, func(n string) error { return unix.Mkfifo(n, 0o666) })
}

// Truncate is truncate -s SIZE NAME….
func Truncate(args []string) error {
	o, names, err := tool.Parse(args, "s:c")
	if err != nil {
		return err
	}
	size, err := parseSize(o['s'])
	if err != nil {
		return err
	}
	return each(names, func(n string) error {
		f, err := os.OpenFile(n, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return err
		}
		return errors.Join(f.Truncate(size), f.Close())
	})
}

// Sync is sync: everything, or the files that are named.
func Sync(names []string) error {
	if len(names) == 0 {
		unix.Sync()
		return nil
	}
	return each(names, func(n string) error {
		f, err := os.Open(n)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// Which is which NAME….
func Which(names []string) error {
	code := tool.Exit(0)
	for _, n := range names {
		p, err := exec.LookPath(n)
		if err != nil {
			code = 1
			continue
		}
		fmt.Fprintln(tool.Out, p)
	}
	if code != 0 {
		return code
	}
	return nil
}

// Chown is chown [-R] [-h] OWNER[:GROUP] NAME….
func Chown(args []string) error {
	o, rest, err := tool.Parse(args, "Rh")
	if err != nil {
		return err
	}
	if len(rest) < 2 {
		return errors.New("want an owner and a name")
	}
	uid, gid, err := parseOwner(rest[0])
	if err != nil {
		return err
	}
	return each(rest[1:], func(n string) error {
		switch {
		case o.Has('R'):
			return filepath.WalkDir(n, func(p string, _ fs.DirEntry, err error) error {
				return errors.Join(err, os.Lchown(p, uid, gid))
			})
		case o.Has('h'):
			return os.Lchown(n, uid, gid)
		}
		return os.Chown(n, uid, gid)
	})
}

// parseOwner gives -1 for the part that is to stay.
func parseOwner(owner string) (uid, gid int, err error) {
	name, group, _ := strings.Cut(owner, ":")
	uid, gid = -1, -1
	if name != "" {
		if uid, err = strconv.Atoi(name); err != nil {
			u, lookup := user.Lookup(name)
			if lookup != nil {
				return 0, 0, lookup
			}
			uid, _ = strconv.Atoi(u.Uid)
		}
	}
	if group != "" {
		if gid, err = strconv.Atoi(group); err != nil {
			g, lookup := user.LookupGroup(group)
			if lookup != nil {
				return 0, 0, lookup
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
	}
	return uid, gid, nil
}

// Stat is stat [-L] [-c FORMAT] NAME… with %n %s %a %A %u %g %U %G %i %h %F %Y.
func Stat(args []string) error {
	o, names, err := tool.Parse(args, "Lc:f")
	if err != nil {
		return err
	}
	format := "  File: %n\n  Size: %s\t%F\nAccess: (%a/%A)  Uid: %u/%U  Gid: %g/%G\n Inode: %i  Links: %h\nModify: %y"
	if o.Has('c') {
		format = o['c']
	}
	return each(names, func(n string) error {
		look := os.Lstat
		if o.Has('L') {
			look = os.Stat
		}
		info, err := look(n)
		if err != nil {
			return err
		}
		fmt.Fprintln(tool.Out, describe(n, info, format))
		return nil
	})
}

func describe(name string, info fs.FileInfo, format string) string {
	st := info.Sys().(*syscall.Stat_t)
	owner, group := fmt.Sprint(st.Uid), fmt.Sprint(st.Gid)
	ownerName, groupName := owner, group
	if u, err := user.LookupId(owner); err == nil {
		ownerName = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		groupName = g.Name
	}
	return strings.NewReplacer(
		"%n", name, "%s", fmt.Sprint(info.Size()), "%a", fmt.Sprintf("%o", st.Mode&0o7777), "%A", info.Mode().String(),
		"%u", owner, "%U", ownerName, "%g", group, "%G", groupName, "%i", fmt.Sprint(st.Ino), "%h", fmt.Sprint(st.Nlink),
		"%F", kind(info.Mode()), "%Y", fmt.Sprint(info.ModTime().Unix()), "%y", info.ModTime().String(), "%%", "%",
	).Replace(format)
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeCharDevice != 0:
		return "character special file"
	case m&fs.ModeDevice != 0:
		return "block special file"
	}
	return "regular file"
}

// Dd is dd if=FILE of=FILE bs=SIZE count=N skip=N seek=N conv=fsync,notrunc.
func Dd(args []string) error {
	o := map[string]string{"bs": "512", "count": "-1", "skip": "0", "seek": "0"}
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("want KEY=VALUE, got %q", a)
		}
		o[key] = value
	}
	numbers := map[string]int64{}
	for _, key := range []string{"bs", "count", "skip", "seek"} {
		n, err := parseSize(o[key])
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		numbers[key] = n
	}
	return copyBlocks(o, numbers)
}

func copyBlocks(o map[string]string, n map[string]int64) (err error) {
	in, out := os.Stdin, os.Stdout
	if name := o["if"]; name != "" {
		if in, err = os.Open(name); err != nil {
			return err
		}
		defer in.Close()
	}
	if name := o["of"]; name != "" {
		flags := os.O_WRONLY | os.O_CREATE
		if n["seek"] == 0 && !strings.Contains(o["conv"], "notrunc") {
			flags |= os.O_TRUNC
		}
		if out, err = os.OpenFile(name, flags, 0o666); err != nil {
			return err
		}
		defer out.Close()
		if _, err := out.Seek(n["seek"]*n["bs"], io.SeekStart); n["seek"] > 0 && err != nil {
			return err
		}
	}
	if _, err := io.CopyN(io.Discard, in, n["skip"]*n["bs"]); n["skip"] > 0 && err != nil {
		return err
	}
	block := make([]byte, n["bs"])
	var blocks, total int64
	for ; blocks != n["count"]; blocks++ {
		got, err := io.ReadFull(in, block)
		written, writeErr := out.Write(block[:got])
		total += int64(written)
		if writeErr != nil {
			return writeErr
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if strings.Contains(o["conv"], "fsync") {
		if err := out.Sync(); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "%d blocks, %d bytes\n", blocks, total)
	return nil
}

// parseSize reads 20M, 4k, 1G or a plain number.
func parseSize(word string) (int64, error) {
	shift := 0
	digits := strings.TrimRight(word, "kKMGiB")
	switch unit := word[len(digits):]; {
	case unit == "":
	case unit[0] == 'k' || unit[0] == 'K':
		shift = 10
	case unit[0] == 'M':
		shift = 20
	case unit[0] == 'G':
		shift = 30
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size", word)
	}
	return n << shift, nil
}
