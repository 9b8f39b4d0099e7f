// Package repo knows the repository as virtual machines need it: which files of
// it to ship, how to build its test binaries so that they run on any Linux, and
// how to build for a machine that has no Go.
package repo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Repo is a clone of the repository.
type Repo struct {
	Dir string
}

// Find returns the repository of GROUNDUP_REPO, or the one that the working
// directory is in.
func Find() (Repo, error) {
	if dir := os.Getenv("GROUNDUP_REPO"); dir != "" {
		return Repo{dir}, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return Repo{}, err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return Repo{dir}, nil
		}
		if dir == "/" {
			return Repo{}, errors.New("cannot find the groundup repository: run vm from inside it, or set GROUNDUP_REPO")
		}
	}
}

// Cache is where images and the logs of failures are kept. Git ignores it.
func (r Repo) Cache() string { return filepath.Join(r.Dir, "bin", "vm") }

// BuildInit builds the first program of machines and returns its path.
func (r Repo) BuildInit() (string, error) {
	out := filepath.Join(r.Cache(), "init")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./cmd/init")
	cmd.Dir = filepath.Join(r.Dir, "vms")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, text)
	}
	return out, nil
}

// Stage makes a copy of the repository in dir, without its history and, unless
// built is set, without bin/. Files are hard links where that is possible: the
// copy is to be read only.
func (r Repo) Stage(dir string, built bool) error {
	return filepath.WalkDir(r.Dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked
		} else if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.Dir, path)
		if err != nil {
			return err
		}
		if e.IsDir() && leaveOut(rel, built) {
			return fs.SkipDir
		}
		return copyEntry(path, filepath.Join(dir, rel), e)
	})
}

func leaveOut(dir string, built bool) bool {
	switch dir {
	case ".git", "build", "bin/vm":
		return true
	case "bin":
		return !built
	}
	return false
}

func copyEntry(from, to string, e fs.DirEntry) error {
	switch mode := e.Type(); {
	case mode.IsDir():
		return os.MkdirAll(to, 0o755)
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case mode.IsRegular():
		return linkOrCopy(from, to)
	}
	return nil // sockets and the like belong to somebody who runs here
}

// linkOrCopy copies when a link is refused: across file systems, or when the file
// is somebody else's.
func linkOrCopy(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// Within says whether a path is the repository or in it.
func (r Repo) Within(path string) bool {
	return path == r.Dir || strings.HasPrefix(path, r.Dir+"/")
}
