package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/step"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// hollowNodes is the component that keeps nodes without machines.
const hollowNodes = "hollow-nodes"

// fakeNodesTimeout is for hangs: thousands of nodes are made in seconds.
var fakeNodesTimeout = Stretch(2 * time.Minute)

// FakeNodes makes the cluster have exactly that many hollow nodes, with args for
// the program that keeps them. It writes the program's manifest on the first
// node, and takes it away when the last hollow node has gone.
func (c *Cluster) FakeNodes(ctx context.Context, spec Spec, nodes int, args ...string) error {
	if !slices.Contains(spec.Step.Components, hollowNodes) {
		return fmt.Errorf("step %02d has no use for nodes without machines: they come with step 03, the scheduler", spec.Step.Number)
	}
	state, err := c.State()
	if err != nil {
		return err
	}
	info, err := c.info(spec, state, 1)
	if err != nil {
		return err
	}
	path := c.nodePath(1, "root", manifests, hollowNodes+".yaml")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && nodes == 0 {
		return errors.New("there are no fake nodes")
	}
	manifest, err := hollowManifest(spec.Step, info, append(args, "--nodes="+strconv.Itoa(nodes)))
	if err != nil {
		return err
	}
	if err := replaceFile(path, manifest, 0o644); err != nil {
		return err
	}
	if err := c.awaitHollow(ctx, info, nodes); err != nil || nodes > 0 {
		return err
	}
	return os.Remove(path)
}

func hollowManifest(s *step.Step, info step.Node, args []string) ([]byte, error) {
	file, err := s.Newest("optional/" + hollowNodes + ".yaml")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	expanded, err := step.Expand(file, string(text), info)
	if err != nil {
		return nil, err
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(expanded, &pod); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	pod.Spec.Containers[0].Args = append(pod.Spec.Containers[0].Args, args...)
	return yaml.Marshal(pod)
}

// awaitHollow waits until there are so many hollow nodes, and no pod is left on
// one that is gone.
func (c *Cluster) awaitHollow(ctx context.Context, info step.Node, nodes int) error {
	ctx, cancel := context.WithTimeout(ctx, fakeNodesTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, err := c.unsettled(ctx, apiServer(info), nodes)
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err != nil {
				missing += " (" + err.Error() + ")"
			}
			return overdue(ctx, fmt.Errorf("after %s %s: see `lab logs %s`", fakeNodesTimeout, missing, hollowNodes))
		}
	}
}

// unsettled asks the API server what is not yet as it is to be. All pods are listed
// only when the nodes are right.
func (c *Cluster) unsettled(ctx context.Context, api string, want int) (string, error) {
	var nodes metav1.PartialObjectMetadataList
	err := c.list(ctx, api+"/api/v1/nodes?labelSelector="+url.QueryEscape("groundup.local/hollow"), &nodes)
	if have := len(nodes.Items); err != nil || have != want {
		return fmt.Sprintf("there are %d fake nodes, not %d", have, want), err
	}
	var pods corev1.PodList
	err = c.list(ctx, api+"/api/v1/pods?fieldSelector="+url.QueryEscape("spec.nodeName!="), &pods)
	if left := leftBehind(pods.Items, want); err != nil || left > 0 {
		return fmt.Sprintf("%d pods are left on fake nodes that are gone", left), err
	}
	return "", nil
}

// leftBehind counts the pods on fake nodes beyond the last one. Nobody else will end
// them: that is for a controller of a later step.
func leftBehind(pods []corev1.Pod, nodes int) (left int) {
	for _, p := range pods {
		number, fake := strings.CutPrefix(p.Spec.NodeName, "fake-")
		if n, err := strconv.Atoi(number); fake && err == nil && n > nodes {
			left++
		}
	}
	return left
}

func (c *Cluster) list(ctx context.Context, url string, into any) error {
	body, err := c.Get(ctx, url)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(into)
}
