package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/step"
)

// files are the step's files and what every machine has in /etc, for the node's
// root file system.
func (c *Cluster) files(spec Spec, state State, info step.Node) (map[string][]byte, error) {
	files, err := spec.Step.Files(info)
	if err != nil {
		return nil, err
	}
	if files["/etc/kubernetes/pki/ca.crt"], err = os.ReadFile(c.path("pki", "ca.crt")); err != nil {
		return nil, err
	}
	if state.Host != nil { // this machine has its own
		return files, nil
	}
	files["/etc/hosts"] = hosts(state)
	files["/etc/resolv.conf"], err = resolvConf()
	return files, err
}

const manifests = "/etc/kubernetes/manifests/"

// writeFiles writes those of the files for which which returns true. Also where
// no manifest is, a learner who writes one finds the directory.
func (c *Cluster) writeFiles(n int, files map[string][]byte, which func(path string) bool) error {
	root := c.nodePath(n, "root")
	if err := os.MkdirAll(filepath.Join(root, manifests), 0o755); err != nil {
		return err
	}
	for path, content := range files {
		if !which(path) {
			continue
		}
		if err := replaceChanged(filepath.Join(root, path), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func isManifest(path string) bool { return strings.HasPrefix(path, manifests) }

// forget removes the files that were written before and are not wanted now.
func (c *Cluster) forget(n int, want []string) error {
	list := c.nodePath(n, "files")
	before, err := os.ReadFile(list)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for path := range strings.FieldsSeq(string(before)) {
		if !slices.Contains(want, path) {
			if err := os.Remove(c.nodePath(n, "root", path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return replaceFile(list, []byte(strings.Join(want, "\n")+"\n"), 0o644)
}

func hosts(s State) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "127.0.0.1\tlocalhost\n::1\tlocalhost\n%s\thost\n", s.Plan.Gateway())
	for n := 1; n <= s.Nodes; n++ {
		fmt.Fprintf(&b, "%s\t%s\n", s.Plan.Node(n), NodeName(n))
	}
	return b.Bytes()
}

// resolvConf is this machine's, unless that names a resolver on the loopback
// interface, which is another one in a node.
func resolvConf() ([]byte, error) {
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if !strings.Contains(string(b), "nameserver 127.") {
			return b, nil
		}
	}
	return []byte("# this machine has no name server that a node could reach\n"), nil
}
