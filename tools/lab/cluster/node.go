package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/box"
	"github.com/k8s-groundup/groundup/tools/lab/fabric"
	"github.com/k8s-groundup/groundup/tools/lab/host"
	"github.com/k8s-groundup/groundup/tools/lab/initd"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"golang.org/x/sys/unix"
)

// NodeName is the name of the n-th node, counted from 1.
func NodeName(n int) string { return fmt.Sprintf("node-%d", n) }

// killTimeout bounds how long the kernel may take to end a killed node.
const killTimeout = 20 * time.Second

// A Node is a node that was booted.
type Node struct {
	Name   string
	IP     string
	Cgroup string
	PID    int    // of its init
	Start  string // what [box.StartTime] said of the init
	Home   string `json:",omitempty"` // set when the node is this machine, see host.go
}

// Running says whether the node's init is still the process it was; of this
// machine, whether it has services to run.
func (n Node) Running() bool {
	if n.Home != "" {
		return host.NewSupervisor(n.Home).Running()
	}
	start, ok := box.StartTime(n.PID)
	return ok && start == n.Start
}

// Path is where the node's file is for this machine. It works while the node
// runs, and for files in memory (/run) too.
func (n Node) Path(inside string) string {
	if n.Home != "" {
		return inside
	}
	return filepath.Join("/proc", fmt.Sprint(n.PID), "root", inside)
}

// Run runs a command in the node, like [box.Run].
func (n Node) Run(cmd *exec.Cmd) error {
	if n.Home != "" {
		return runHere(cmd)
	}
	return box.Run(n.Cgroup, n.PID, cmd)
}

// Services is what the node's init says of its services.
func (n Node) Services() ([]initd.Status, error) {
	if n.Home != "" {
		return host.NewSupervisor(n.Home).Services()
	}
	b, err := os.ReadFile(n.Path(initd.StatusFile))
	if err != nil {
		return nil, err
	}
	var all []initd.Status
	return all, json.Unmarshal(b, &all)
}

// Node returns node number n as it was booted last.
func (c *Cluster) Node(n int) (Node, error) {
	var node Node
	b, err := os.ReadFile(c.nodePath(n, "node.json"))
	if err != nil {
		return node, err
	}
	return node, json.Unmarshal(b, &node)
}

// Nodes returns all nodes that the state asks for; one that was never booted
// has no process id.
func (c *Cluster) Nodes() ([]Node, error) {
	s, err := c.State()
	if err != nil {
		return nil, err
	}
	var nodes []Node
	for _, n := range s.numbers() {
		node, err := c.Node(n)
		if errors.Is(err, fs.ErrNotExist) {
			node = Node{Name: NodeName(n), IP: s.ip(n)}
		} else if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

func (c *Cluster) nodePath(n int, parts ...string) string {
	return c.path(append([]string{"nodes", NodeName(n)}, parts...)...)
}

// CgroupParent is the cgroup that holds the nodes', below the root of every
// hierarchy. A cluster with another home than the usual one has its own, so that
// tests and a learner's cluster keep apart.
func (c *Cluster) CgroupParent() string {
	if c.Home == DefaultHome {
		return "groundup"
	}
	sum := sha256.Sum256([]byte(c.Home))
	return "groundup-" + hex.EncodeToString(sum[:4])
}

func (c *Cluster) cgroup(n int) string { return c.CgroupParent() + "/" + NodeName(n) }

// bootNode brings node n to what the spec says: powered on, its files in place,
// its images imported, its services running, and ready. Without an authority, it has
// what it is known by already.
func (c *Cluster) bootNode(ctx context.Context, spec Spec, state State, authority *pki.Authority, n int) error {
	info, err := c.info(spec, state, n)
	if err != nil {
		return err
	}
	if authority != nil {
		if err := c.credentials(spec, authority, n, info); err != nil {
			return err
		}
	}
	if info.Credentials, err = c.fingerprint(n); err != nil {
		return err
	}
	files, err := c.files(spec, state, info)
	if err != nil {
		return err
	}
	if err := c.writeFiles(n, files, func(path string) bool { return !isManifest(path) }); err != nil {
		return err
	}
	node, err := c.Node(n)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if state.Host != nil {
		if node, err = c.thisMachine(state); err != nil {
			return err
		}
	} else if !node.booted(ctx) {
		if err := c.do("power on "+info.Name, func() error { node, err = c.powerOn(state, n); return err }); err != nil {
			return err
		}
	}
	if err := c.importImages(spec, node); err != nil {
		return err
	}
	// Only now: a kubelet that finds its images missing goes to fetch them.
	if err := errors.Join(c.writeFiles(n, files, isManifest), c.forget(n, slices.Sorted(maps.Keys(files)))); err != nil {
		return err
	}
	return c.do("services of "+info.Name, func() error {
		services, err := c.services(spec, info, files)
		if err != nil {
			return err
		}
		if err := c.serve(node, n, services); err != nil {
			return err
		}
		return c.waitReady(ctx, spec, node, info)
	})
}

// booted says whether the node runs, and waits if it only just begins to: an up that was
// killed may have left it so.
func (n Node) booted(ctx context.Context) bool {
	for n.Running() && box.Booting(n.PID) && ctx.Err() == nil {
		<-time.After(time.Millisecond)
	}
	return n.Running()
}

// serve makes services what the node's init runs.
func (c *Cluster) serve(node Node, n int, services []initd.Service) error {
	if node.Home != "" {
		return host.NewSupervisor(node.Home).Apply(services)
	}
	b, err := json.MarshalIndent(services, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(c.nodePath(n, "root", initd.ServicesFile), b, 0o644); err != nil {
		return err
	}
	// An init that is still booting ignores this, and reads the file anyway.
	if err := unix.Kill(node.PID, unix.SIGHUP); err != nil {
		return fmt.Errorf("tell init: %w", err)
	}
	return nil
}

// powerOn boots the node's box.
func (c *Cluster) powerOn(state State, n int) (Node, error) {
	name := NodeName(n)
	node := Node{Name: name, IP: state.Plan.Node(n).String(), Cgroup: c.cgroup(n)}
	// What an earlier boot left when the power went.
	if err := box.RemoveCgroups(node.Cgroup, time.Now().Add(killTimeout)); err != nil {
		return node, err
	}
	pid, err := box.Start(box.Config{
		Name:   name,
		Cgroup: node.Cgroup,
		Root:   c.nodePath(n, "root"),
		Binds:  []box.Bind{{Source: c.path("bin"), Target: "/opt/groundup/bin"}, {Source: c.path("images"), Target: "/opt/groundup/images"}},
		Init:   []string{"/opt/groundup/bin/node-init"},
		Stdout: c.nodePath(n, "console.log"),
	}, func(pid int) error { return c.plugIn(state, n, &node, pid) })
	node.PID = pid
	return node, err
}

// plugIn connects the box that is about to boot, and writes down its process
// before anything runs in it, so that no crash of ours can hide it from down.
func (c *Cluster) plugIn(state State, n int, node *Node, pid int) error {
	start, ok := box.StartTime(pid)
	if !ok {
		return fmt.Errorf("process %d ended at once; see %s", pid, c.nodePath(n, "console.log"))
	}
	node.PID, node.Start = pid, start
	b, err := json.Marshal(node)
	if err != nil {
		return err
	}
	if err := replaceFile(c.nodePath(n, "node.json"), b, 0o644); err != nil {
		return err
	}
	return fabric.Connect(c.Home, state.Plan, n, node.Name, pid)
}

// services is what the node's init is to run. A service's version is the hash of
// its program and of the files in /etc/kubernetes, so one that was rebuilt or
// configured anew is a changed service, and init restarts it. Manifests do not
// count: the kubelet watches those.
func (c *Cluster) services(spec Spec, info step.Node, files map[string][]byte) ([]initd.Service, error) {
	config := sha256.New()
	fmt.Fprintln(config, info.Credentials)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(path, "/etc/kubernetes/") && !isManifest(path) {
			fmt.Fprintf(config, "%s %d\n%s", path, len(files[path]), files[path])
		}
	}
	var all []initd.Service
	for _, s := range spec.Step.Services {
		svc := initd.Service{Name: s.Name}
		for _, arg := range s.Argv {
			b, err := step.Expand("argument of "+s.Name, arg, info)
			if err != nil {
				return nil, err
			}
			svc.Argv = append(svc.Argv, string(b))
		}
		program, err := os.ReadFile(c.path("bin", filepath.Base(svc.Argv[0])))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(config.Sum(program))
		svc.Version = hex.EncodeToString(sum[:6])
		all = append(all, svc)
	}
	return all, nil
}

// importImages puts the step's images into the node's image store. An archive
// that was imported before is not read again, unless an image of it has been removed.
func (c *Cluster) importImages(spec Spec, node Node) error {
	images := spec.Step.Images
	if node.Name == NodeName(1) {
		images = slices.Concat(images, spec.Step.Components)
	}
	stored := sync.OnceValue(func() string {
		ids, _ := output(node, exec.Command("runtime", "images", "--quiet")) // what it does not tell is imported again
		return string(ids)
	})
	for _, image := range images {
		archive := c.path("images", image+".tar")
		info, err := os.Stat(archive)
		if err != nil {
			return err
		}
		mark := c.path("nodes", node.Name, "imported-"+image)
		stamp := info.ModTime().Format(time.RFC3339Nano)
		if have, err := os.ReadFile(mark); err == nil && imported(string(have), stamp, stored) {
			continue
		}
		var said []byte
		if err := c.do(fmt.Sprintf("image %s into %s", image, node.Name), func() error {
			cmd := exec.Command("runtime", "import", "/opt/groundup/images/"+image+".tar")
			if said, err = output(node, cmd); err != nil {
				return fmt.Errorf("%w\n%s", err, said)
			}
			return nil
		}); err != nil {
			return err
		}
		if err := replaceFile(mark, []byte(strings.Join(append([]string{stamp}, imageIDs(string(said))...), "\n")+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// imageIDs are the second words of what `runtime import` says.
func imageIDs(said string) (ids []string) {
	for line := range strings.Lines(said) {
		if words := strings.Fields(line); len(words) == 2 && strings.HasPrefix(words[1], "sha256:") {
			ids = append(ids, words[1])
		}
	}
	return ids
}

// imported says whether the archive of this time was imported when the mark was made,
// and all images that the mark names are still stored.
func imported(mark, stamp string, stored func() string) bool {
	words := strings.Fields(mark)
	return len(words) > 1 && words[0] == stamp &&
		!slices.ContainsFunc(words[1:], func(id string) bool { return !strings.Contains(stored(), id) })
}

func output(node Node, cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := node.Run(cmd)
	return out.Bytes(), err
}

// removeNodes powers off the nodes from number first on and removes their
// disks.
func (c *Cluster) removeNodes(first int) error {
	entries, err := os.ReadDir(c.path("nodes"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	s, err := c.State()
	if err != nil && !errors.Is(err, ErrNone) {
		return err
	}
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "node-%d", &n); err != nil || n < first {
			continue
		}
		if err := c.do("remove "+e.Name(), func() error {
			if err := c.PowerOff(n); err != nil {
				return err
			}
			if err := fabric.Disconnect(c.Home, s.Plan, n, e.Name()); err != nil {
				return err
			}
			return os.RemoveAll(c.nodePath(n))
		}); err != nil {
			return err
		}
	}
	return nil
}

// PowerOff ends the node at once, as a power cut does. Its disk stays.
func (c *Cluster) PowerOff(n int) error {
	deadline := time.Now().Add(killTimeout)
	node, err := c.Node(n)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if node.Running() {
		if err := box.Kill(node.PID, deadline); err != nil {
			return err
		}
	}
	return box.RemoveCgroups(c.cgroup(n), deadline)
}
