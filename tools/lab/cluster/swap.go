package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/step"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// A Swap puts another program in the place of a component, by writing over its
// manifest on the first node.
type Swap struct {
	Component string
	Manifest  string            // a template over [step.Node]
	Archives  map[string]string // image archives to bring along, by component
}

// Swap swaps and waits until the node's kubelet runs the other program and it is
// ready. `lab up` puts the step's own manifest back.
func (c *Cluster) Swap(ctx context.Context, spec Spec, swap Swap) error {
	state, err := c.State()
	if err != nil {
		return err
	}
	node, err := c.Node(1)
	if err != nil {
		return err
	}
	info, err := c.info(spec, state, 1)
	if err != nil {
		return err
	}
	if info.Credentials, err = c.fingerprint(1); err != nil {
		return err
	}
	for component, archive := range swap.Archives {
		if err := c.do("image "+component+" into "+node.Name, func() error {
			info.Images[component], err = c.bring(node, component, archive)
			return err
		}); err != nil {
			return err
		}
	}
	manifest, err := step.Expand(swap.Component, swap.Manifest, info)
	if err != nil {
		return err
	}
	path := c.nodePath(1, "root", manifests, swap.Component+".yaml")
	if have, err := os.ReadFile(path); err == nil && string(have) == string(manifest) {
		// Unless a swap was interrupted, it is ready.
		if err := c.awaitSwapped(ctx, spec, node, info, manifest); err != nil {
			return err
		}
		return fmt.Errorf("that is the %s that runs", swap.Component)
	}
	return c.do("put "+swap.Component+" in place", func() error {
		if err := replaceFile(path, manifest, 0o644); err != nil {
			return err
		}
		return c.awaitSwapped(ctx, spec, node, info, manifest)
	})
}

// bring imports an archive into the node and returns the image's name.
func (c *Cluster) bring(node Node, component, archive string) (image string, err error) {
	name := "swap-" + component + ".tar"
	if err := installFile(archive, c.path("images", name), 0o644); err != nil {
		return "", err
	}
	ref, err := os.ReadFile(strings.TrimSuffix(archive, ".tar") + ".ref")
	if err != nil {
		return "", err
	}
	if out, err := output(node, exec.Command("runtime", "import", filepath.Join("/opt/groundup/images", name))); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return strings.TrimSpace(string(ref)), nil
}

// awaitSwapped waits until the kubelet runs the static pod of the manifest and it
// is ready, and then for everything that the step waits for.
func (c *Cluster) awaitSwapped(ctx context.Context, spec Spec, node Node, info step.Node, manifest []byte) error {
	var wanted corev1.Pod
	if err := yaml.UnmarshalStrict(manifest, &wanted); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		pods, err := c.Pods(ctx, node)
		if err == nil && slices.ContainsFunc(pods, func(p corev1.Pod) bool { return isStaticPod(p, wanted, node) && IsReady(p) }) {
			return c.waitReady(ctx, spec, node, info)
		}
		select {
		case <-tick.C:
		case <-within.Done():
			return overdue(within, errors.Join(fmt.Errorf("after %s the new %s is not ready: see `lab logs %s`", readyTimeout, wanted.Name, wanted.Name), err))
		}
	}
}

// isStaticPod says whether the pod is the one that the node's kubelet makes of a
// manifest: by its images, since a name may have had another manifest before.
func isStaticPod(p, manifest corev1.Pod, node Node) bool {
	images := func(p corev1.Pod) (all []string) {
		for _, c := range p.Spec.Containers {
			all = append(all, c.Image)
		}
		return all
	}
	return p.Namespace == manifest.Namespace && p.Name == manifest.Name+"-"+node.Name && slices.Equal(images(p), images(manifest))
}
