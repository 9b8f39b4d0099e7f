package cluster

import (
	"bytes"
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
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// hollowNodes is the component that keeps nodes without machines.
const hollowNodes = "hollow-nodes"

// fakeNodesTimeout is for hangs: thousands of nodes are made in seconds.
var fakeNodesTimeout = Stretch(2 * time.Minute)

// A NodeModel is what every fake node is like.
type NodeModel struct {
	Zones, Pods int
	CPU, Memory resource.Quantity
}

// args are those of the program that keeps the nodes.
func (m NodeModel) args() []string {
	return []string{"--zones=" + strconv.Itoa(m.Zones), "--cpu=" + m.CPU.String(), "--memory=" + m.Memory.String(), "--pods=" + strconv.Itoa(m.Pods)}
}

// zone is where the program puts a node.
func (m NodeModel) zone(number int) string {
	if m.Zones == 0 {
		return ""
	}
	return "zone-" + strconv.Itoa((number-1)%m.Zones+1)
}

// isOf says whether a node is as the model wants it. One that there was before is of
// another until the program, which is started anew, has come to it.
func (m NodeModel) isOf(n corev1.Node) bool {
	has := n.Status.Allocatable
	return has.Cpu().Equal(m.CPU) && has.Memory().Equal(m.Memory) && has.Pods().Value() == int64(m.Pods) &&
		n.Labels[corev1.LabelTopologyZone] == m.zone(fakeNumber(n.Name))
}

// fakeNumber is which fake node the name is of; 0 for other nodes.
func fakeNumber(name string) int {
	number, fake := strings.CutPrefix(name, "fake-")
	n, err := strconv.Atoi(number)
	if !fake || err != nil {
		return 0
	}
	return n
}

// FakeNodes makes the cluster have exactly that many hollow nodes, and all of them
// like the model. It writes the manifest of the program that keeps them on the first
// node, and takes it away when the last hollow node has gone.
func (c *Cluster) FakeNodes(ctx context.Context, spec Spec, nodes int, model NodeModel) error {
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
	args := append(model.args(), "--nodes="+strconv.Itoa(nodes))
	manifest, err := hollowManifest(spec.Step, info, args, nil)
	if err != nil {
		return err
	}
	if had, err := os.ReadFile(path); err == nil && bytes.Equal(had, manifest) {
		if missing, err := c.unsettled(ctx, apiServer(info), nodes, model); err != nil || missing != "" {
			if manifest, err = hollowManifest(spec.Step, info, args, again); err != nil {
				return err
			}
		}
	}
	if err := replaceFile(path, manifest, 0o644); err != nil {
		return err
	}
	if err := c.awaitHollow(ctx, info, nodes, model); err != nil || nodes > 0 {
		return err
	}
	return os.Remove(path)
}

// again makes the manifest of a program that runs a different one, so that it is started
// anew: it looks at its nodes then, which somebody has changed or taken away.
var again = map[string]string{"groundup.dev/again": "true"}

func hollowManifest(s *step.Step, info step.Node, args []string, annotations map[string]string) ([]byte, error) {
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
	pod.Annotations = annotations
	pod.Spec.Containers[0].Args = append(pod.Spec.Containers[0].Args, args...)
	return yaml.Marshal(pod)
}

// awaitHollow waits until there are so many hollow nodes of that model, and no pod is
// left on one that is gone.
func (c *Cluster) awaitHollow(ctx context.Context, info step.Node, nodes int, model NodeModel) error {
	ctx, cancel := context.WithTimeout(ctx, fakeNodesTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		missing, err := c.unsettled(ctx, apiServer(info), nodes, model)
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
func (c *Cluster) unsettled(ctx context.Context, api string, want int, model NodeModel) (string, error) {
	var nodes corev1.NodeList
	err := c.list(ctx, api+"/api/v1/nodes?labelSelector="+url.QueryEscape("groundup.local/hollow"), &nodes)
	if missing := unlike(nodes.Items, want, model); err != nil || missing != "" {
		return missing, err
	}
	var pods corev1.PodList
	err = c.list(ctx, api+"/api/v1/pods?fieldSelector="+url.QueryEscape("spec.nodeName!="), &pods)
	if left := leftBehind(pods.Items, want); err != nil || left > 0 {
		return fmt.Sprintf("%d pods are left on fake nodes that are gone", left), err
	}
	return "", nil
}

// unlike says what the fake nodes that there are lack to be the ones that are wanted.
func unlike(nodes []corev1.Node, want int, model NodeModel) string {
	if len(nodes) != want {
		return fmt.Sprintf("there are %d fake nodes, not %d", len(nodes), want)
	}
	others := 0
	for _, n := range nodes {
		if !model.isOf(n) {
			others++
		}
	}
	if others > 0 {
		return fmt.Sprintf("%d of %d fake nodes are as they were before", others, want)
	}
	return ""
}

// leftBehind counts the pods on fake nodes beyond the last one. Nobody else will end
// them: that is for a controller of a later step.
func leftBehind(pods []corev1.Pod, nodes int) (left int) {
	for _, p := range pods {
		if fakeNumber(p.Spec.NodeName) > nodes {
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
