package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// dataDir is the API server's, in the first node.
const dataDir = "/var/lib/etcd"

// Snapshot writes the data of the API server's etcd to a file of this machine.
func (c *Cluster) Snapshot(file string) error {
	node, err := c.Node(1)
	if err != nil {
		return err
	}
	const name = "snapshot.db"
	if err := etcd(node, "snapshot", filepath.Join(dataDir, name)); err != nil {
		return err
	}
	written := c.nodePath(1, "root", dataDir, name)
	if err := copyFile(written, file+".part", 0o600); err != nil {
		os.Remove(file + ".part")
		return errors.Join(err, os.Remove(written))
	}
	return errors.Join(os.Rename(file+".part", file), os.Remove(written))
}

// Defragment gives space back that etcd does not use.
func (c *Cluster) Defragment() error {
	node, err := c.Node(1)
	if err != nil {
		return err
	}
	return etcd(node, "defrag")
}

// Restore makes a snapshot the data of the API server. The API server is stopped for it,
// and what it had is kept beside, under the name that is returned. Whether the file is
// a snapshot shows before that; and if it cannot be stopped, or we are interrupted, it
// goes on with what it had.
func (c *Cluster) Restore(ctx context.Context, spec Spec, file string) (kept string, err error) {
	state, err := c.State()
	if err != nil {
		return "", err
	}
	node, err := c.Node(1)
	if err != nil {
		return "", err
	}
	info, err := c.info(spec, state, 1)
	if err != nil {
		return "", err
	}
	inside := c.nodePath(1, "root", dataDir)
	fresh := filepath.Join(inside, "restored")
	defer os.RemoveAll(fresh)
	if err := c.do("restore the data", func() error { return restore(node, file, fresh) }); err != nil {
		return "", err
	}
	manifest := c.nodePath(1, "root", manifests, "kube-apiserver.yaml")
	aside := filepath.Join(inside, "kube-apiserver.yaml")
	if err := c.do("stop kube-apiserver", func() error {
		if err := os.Rename(manifest, aside); err != nil && !errors.Is(err, fs.ErrNotExist) { // moved by a restore that was interrupted
			return err
		}
		if err := c.awaitStopped(ctx, inside); err != nil {
			return errors.Join(err, os.Rename(aside, manifest))
		}
		return nil
	}); err != nil {
		return "", err
	}
	kept = filepath.Join(inside, "etcd-"+time.Now().UTC().Format("20060102-150405"))
	if err := os.Rename(filepath.Join(inside, "etcd"), kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", errors.Join(err, os.Rename(aside, manifest))
	}
	if err := os.Rename(filepath.Join(fresh, "etcd"), filepath.Join(inside, "etcd")); err != nil {
		return kept, err
	}
	return kept, c.do("start kube-apiserver", func() error {
		if err := os.Rename(aside, manifest); err != nil {
			return err
		}
		return c.waitReady(ctx, spec, node, info)
	})
}

// restore makes data from a snapshot in a directory beside the API server's.
func restore(node Node, file, fresh string) error {
	if err := os.RemoveAll(fresh); err != nil { // of a restore that was killed
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if err := copyFile(file, filepath.Join(fresh, "snapshot.db"), 0o600); err != nil {
		return err
	}
	inNode := filepath.Join(dataDir, filepath.Base(fresh))
	return etcdIn(node, inNode, "restore", filepath.Join(inNode, "snapshot.db"))
}

// awaitStopped waits until nobody has etcd's data open: its lock on the data file
// ends with the process.
func (c *Cluster) awaitStopped(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		free, err := unlocked(filepath.Join(dir, "etcd", "member", "snap", "db"))
		if err != nil || free {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return overdue(ctx, fmt.Errorf("the API server still has its data open after %s: see `lab pods`", readyTimeout))
		}
	}
}

// etcd runs the API server's command that looks after its data.
func etcd(node Node, args ...string) error { return etcdIn(node, dataDir, args...) }

func etcdIn(node Node, dir string, args ...string) error {
	argv := append(append([]string{"etcd"}, args...), "--data-dir="+dir)
	if out, err := output(node, exec.Command("kube-apiserver", argv...)); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// unlocked says that no process holds the lock of a file, or that there is none.
func unlocked(file string) (bool, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
