package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/fabric"
	"github.com/k8s-groundup/groundup/tools/lab/step"
)

// A Spec is what a cluster is made from.
type Spec struct {
	Step     *step.Step
	Nodes    int
	Binaries string // folder of the built programs of this step; empty to leave those that are there
	Images   string // folder of the image archives
	Host     *Host  // nil: nodes are boxes
	// Join, when set, makes Host a node of another machine's control plane.
	Join *Invitation
}

// MaxNodes is how many nodes have an address.
const MaxNodes = 50

// Up makes the cluster what spec says, whatever it was before: it starts one,
// adds or removes nodes, upgrades, or repairs. It returns when every node is
// ready. The caller holds the lock.
func (c *Cluster) Up(ctx context.Context, spec Spec) error {
	if spec.Nodes < 1 || spec.Nodes > MaxNodes {
		return fmt.Errorf("a cluster has 1 to %d nodes, not %d", MaxNodes, spec.Nodes)
	}
	old, err := c.State()
	if err == nil && (old.Host != nil) != (spec.Host != nil) {
		return errors.New("a cluster of another kind is up: `lab down` removes it")
	}
	if spec.Host != nil {
		return c.upHost(ctx, spec, old, err)
	}
	wired, taken := fabric.There(c.Home)
	if taken != nil {
		return taken
	}
	switch {
	case errors.Is(err, ErrNone):
		if old.Plan, err = fabric.Choose(); err != nil {
			return err
		}
		old.Step = spec.Step.Number
	case err != nil:
		return err
	case old.Step > spec.Step.Number:
		// A component can be replaced by a newer one on the same data, but it
		// cannot know what a newer one wrote.
		if err := c.do(fmt.Sprintf("go back from step %02d: the nodes start afresh", old.Step), func() error { return c.removeNodes(1) }); err != nil {
			return err
		}
	}
	state := old
	state.Step, state.Nodes = spec.Step.Number, spec.Nodes
	forwards, err := fabric.Forwards()
	if err != nil {
		return err
	}
	if !wired { // or else it may be us who turned it on
		state.ForwardWasOff = !forwards
	}
	if err := c.save(state); err != nil {
		return err
	}
	if err := c.do("network between the nodes", func() error { return fabric.Ensure(c.Home, state.Plan) }); err != nil {
		return err
	}
	if err := c.do("programs and images", func() error { return c.install(spec) }); err != nil {
		return err
	}
	if err := c.removeNodes(spec.Nodes + 1); err != nil {
		return err
	}
	authority, err := pki.Open(c.path("pki"))
	if err != nil {
		return err
	}
	if err := c.admin(authority); err != nil {
		return err
	}
	for n := 1; n <= spec.Nodes; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx) // which signal it was
		}
		if err := c.bootNode(ctx, spec, state, authority, n); err != nil {
			return err
		}
	}
	return nil
}

// install copies programs and image archives to where the nodes see them, so
// that a build in the repository does not change a running cluster.
func (c *Cluster) install(spec Spec) error {
	if spec.Binaries == "" {
		return nil
	}
	names, err := spec.Step.Binaries()
	if err != nil {
		return err
	}
	for name := range names {
		if err := installFile(filepath.Join(spec.Binaries, name), c.path("bin", name), 0o755); err != nil {
			return err
		}
	}
	if err := installFile(filepath.Join(filepath.Dir(spec.Binaries), "node-init"), c.path("bin", "node-init"), 0o755); err != nil {
		return err
	}
	for _, image := range spec.Step.Images {
		if err := installFile(filepath.Join(spec.Images, image+".tar"), c.path("images", image+".tar"), 0o644); err != nil {
			return err
		}
	}
	for _, component := range spec.Step.Components {
		for _, file := range []string{component + ".tar", component + ".ref"} {
			if err := installFile(filepath.Join(spec.Binaries, file), c.path("images", file), 0o644); err != nil {
				return err
			}
		}
	}
	if !spec.Step.ControlPlane {
		return nil
	}
	for _, client := range Clients {
		if err := installFile(filepath.Join(filepath.Dir(spec.Binaries), client), c.path("bin", client), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// admin makes the learner's client certificate.
func (c *Cluster) admin(a *pki.Authority) error {
	return a.Ensure(c.path("pki", "admin"), pki.Leaf{User: "kubernetes-admin", Groups: []string{"system:masters"}})
}

// installFile copies source to target when their size or time differ, and
// never touches a target in place: a running program keeps its file.
func installFile(source, target string, mode os.FileMode) error {
	s, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("%w: build it with `lab build`", err)
	}
	if t, err := os.Stat(target); err == nil && t.Size() == s.Size() && t.ModTime().Equal(s.ModTime()) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	next := target + ".new"
	if err := copyFile(source, next, mode); err != nil {
		return err
	}
	if err := os.Chtimes(next, s.ModTime(), s.ModTime()); err != nil {
		return err
	}
	return os.Rename(next, target)
}

func copyFile(source, target string, mode os.FileMode) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := out.ReadFrom(in); err != nil {
		return err
	}
	return out.Close()
}
