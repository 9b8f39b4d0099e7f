package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/step"
)

// A Swap puts another program in the place of a component, by writing over its
// manifest on the first node.
type Swap struct {
	Component string
	Manifest  string            // a template over [step.Node]
	Archives  map[string]string // image archives to bring along, by component
}

// Swap swaps and waits until the API server that answers is another one than
// before. `lab up` puts the step's own manifest back.
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
		return fmt.Errorf("that is the %s that runs", swap.Component)
	}
	before, err := c.version(ctx, info)
	if err != nil {
		return err
	}
	return c.do("put "+swap.Component+" in place", func() error {
		if err := replaceFile(path, manifest, 0o644); err != nil {
			return err
		}
		return c.awaitOther(ctx, spec, node, info, before)
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

// version is what the API server says it is.
func (c *Cluster) version(ctx context.Context, info step.Node) (string, error) {
	body, err := c.Get(ctx, apiServer(info)+"/version")
	if err != nil {
		return "", err
	}
	defer body.Close()
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	return v.GitVersion, json.NewDecoder(body).Decode(&v)
}

// awaitOther waits for an API server of another version than before, and then
// for everything that the step waits for.
func (c *Cluster) awaitOther(ctx context.Context, spec Spec, node Node, info step.Node, before string) error {
	within, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := c.version(within, info)
		if err == nil && now != before {
			return c.waitReady(ctx, spec, node, info)
		}
		select {
		case <-tick.C:
		case <-within.Done():
			return fmt.Errorf("after %s there is still %s (%v): see `lab pods`", readyTimeout, before, err)
		}
	}
}
