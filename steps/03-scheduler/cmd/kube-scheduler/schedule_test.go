package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/admission"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

func TestPendingPodsGetNodes(t *testing.T) {
	c := newCluster(t)
	c.node("one", "2")
	c.pod("early", "1")
	c.schedule()
	c.onNode("early", "one")
	c.event("early", "Scheduled", "Successfully assigned "+c.namespace+"/early to one")
	c.pod("late", "1")
	c.onNode("late", "one")
}

func TestAPodThatFitsNowhereIsToldWhyAndHelped(t *testing.T) {
	c := newCluster(t)
	c.schedule()
	c.pod("web", "2")
	c.condition("web", corev1.PodReasonUnschedulable, "no nodes available to schedule pods")
	c.node("small", "1")
	c.node("tainted", "4", func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule}}
	})
	const why = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). " +
		"preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
	c.condition("web", corev1.PodReasonUnschedulable, why)
	c.pod("second", "2", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} })
	c.event("second", "FailedScheduling", "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s). preemption: ")

	patch := []byte(`{"spec":{"taints":null}}`)
	if _, err := c.client.CoreV1().Nodes().Patch(t.Context(), "tainted", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.onNode("web", "tainted")
}

func TestARoomThatIsLeftIsTaken(t *testing.T) {
	c := newCluster(t)
	c.node("one", "1")
	c.schedule()
	c.pod("first", "1")
	c.onNode("first", "one")
	c.pod("second", "1")
	c.event("second", "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.")
	c.delete("first")
	c.onNode("second", "one")
}

func TestGatedPodsWait(t *testing.T) {
	c := newCluster(t)
	c.node("one", "2")
	c.pod("gated", "1", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}} })
	c.schedule()
	c.pod("other", "1")
	c.onNode("other", "one")
	if got := c.get("gated").Spec.NodeName; got != "" {
		t.Errorf("a gated pod is on node %q", got)
	}
	c.condition("gated", corev1.PodReasonSchedulingGated, "Scheduling is blocked due to non-empty scheduling gates")
	patch := []byte(`[{"op":"remove","path":"/spec/schedulingGates"}]`)
	if _, err := c.client.CoreV1().Pods(c.namespace).Patch(t.Context(), "gated", types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.onNode("gated", "one")
}

func TestPreemption(t *testing.T) {
	c := newCluster(t)
	c.node("one", "2")
	c.schedule()
	class := c.priorityClass("important", 1000)
	c.pod("victim", "1500m", func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](30) })
	c.onNode("victim", "one")
	c.pod("boss", "1", class)
	eventually(t, func() string {
		if node := c.get("boss").Status.NominatedNodeName; node != "one" {
			return fmt.Sprintf("the preemptor is nominated for %q", node)
		}
		return ""
	})
	eventually(t, func() string {
		victim := c.get("victim")
		for _, cond := range victim.Status.Conditions {
			if cond.Type == corev1.DisruptionTarget && cond.Reason == corev1.PodReasonPreemptionByScheduler && victim.DeletionTimestamp != nil {
				if want := "default-scheduler: preempting to accommodate a higher priority pod"; cond.Message != want {
					t.Errorf("got %q, want %q", cond.Message, want)
				}
				return ""
			}
		}
		return fmt.Sprintf("the victim is not ended: %v %+v", victim.DeletionTimestamp, victim.Status.Conditions)
	})
	c.event("victim", "Preempted", "on node one")

	// The place is not for others of lower priority while the victim ends.
	c.pod("thief", "500m")
	c.pod("thief2", "500m")
	c.event("thief2", "FailedScheduling", "Insufficient cpu")
	c.delete("victim") // its kubelet says that it has ended
	c.onNode("boss", "one")
	if node := c.get("boss").Status.NominatedNodeName; node != "" && *kubeconfigFlag == "" {
		t.Errorf("a bound pod is nominated for %q", node)
	}
}

// The first victim ends at once, which tells the preemptor to try again before the watch
// shows it that it has been nominated: the other victim is on its way, and nobody else goes.
func TestAPreemptorWaitsForAllItsVictims(t *testing.T) {
	c := newCluster(t)
	const nodes = 10
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)
		c.node(name, "2")
		for pod, grace := range map[string]int64{"quick": 0, "slow": 30} {
			c.pod(fmt.Sprintf("%s-%d", pod, i), "1", func(p *corev1.Pod) {
				p.Spec.NodeName, p.Spec.TerminationGracePeriodSeconds = name, ptr.To(grace)
			})
		}
	}
	conf := t.TempDir() + "/config.yaml"
	writeFile(t, conf, `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
profiles: [{pluginConfig: [{name: DefaultPreemption, args: {minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 1}}]}]
`)
	c.schedule("--config", conf)
	c.pod("boss", "2", c.priorityClass("important", 1000))
	c.condition("boss", corev1.PodReasonUnschedulable, "0/10 nodes are available: 10 Insufficient cpu. preemption: not eligible due to a terminating pod on the nominated node.")
	list, err := c.client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			whole++
		}
	}
	if want := 2*(nodes-1) + 1; whole != want {
		t.Errorf("%d pods are whole, want %d: the other nodes' and the preemptor", whole, want)
	}
}

// Nothing happens in the cluster that could tell the pod to try again.
func TestAVictimThatCannotBeEndedIsTriedAgain(t *testing.T) {
	c := newCluster(t)
	c.node("one", "2")
	f := &fault{}
	f.keepPods.Store(1)
	c.behind(f).schedule()
	c.pod("victim", "1500m", func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](30) })
	c.onNode("victim", "one")
	c.pod("boss", "1", c.priorityClass("important", 1000))
	eventually(t, func() string {
		if c.get("victim").DeletionTimestamp == nil {
			return "the victim is not ended"
		}
		return ""
	})
}

func TestPodsOfOtherSchedulersAreLeftAlone(t *testing.T) {
	c := newCluster(t)
	c.node("one", "2")
	c.pod("foreign", "1", func(p *corev1.Pod) { p.Spec.SchedulerName = "another" })
	c.schedule()
	c.pod("ours", "1")
	c.onNode("ours", "one")
	if got := c.get("foreign").Spec.NodeName; got != "" {
		t.Errorf("the pod of another scheduler is on node %q", got)
	}
}

// A pod waits for its place on a node, and the node is taken away, as the last one there was.
func TestNobodyWaitsForAPlaceWhereNoNodeIs(t *testing.T) {
	c := newCluster(t)
	c.pod("boss", "1")
	c.nominate("boss", "one")
	c.schedule()
	c.condition("boss", corev1.PodReasonUnschedulable, "no nodes available to schedule pods")
	if node := c.get("boss").Status.NominatedNodeName; node != "" {
		t.Errorf("the pod is nominated for %q", node)
	}
}

// Where a pod could not be bound it need not wait: it may go anywhere the next time.
func TestNobodyWaitsForAPlaceThatWasRefused(t *testing.T) {
	c := newCluster(t)
	c.node("one", "1")
	c.pod("boss", "1")
	c.nominate("boss", "one")
	f := &fault{}
	f.forbidBinds.Store(true)
	c.behind(f).schedule()
	c.event("boss", "FailedScheduling", "running Bind plugin")
	eventually(t, func() string {
		if node := c.get("boss").Status.NominatedNodeName; node != "" {
			return fmt.Sprintf("the pod is nominated for %q", node)
		}
		return ""
	})
}

func (c *cluster) nominate(pod, node string) {
	c.t.Helper()
	body := fmt.Sprintf(`{"status":{"nominatedNodeName":%q}}`, node)
	if _, err := c.client.CoreV1().Pods(c.namespace).Patch(c.t.Context(), pod, types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status"); err != nil {
		c.t.Fatal(err)
	}
}

// Another scheduler has made room for a pod of its own, and then finds it another place.
func TestTheRoomOfAnothersPodIsKeptUntilItIsGivenBack(t *testing.T) {
	c := newCluster(t)
	c.node("one", "1")
	c.pod("foreign", "1", c.priorityClass("theirs", 1000), func(p *corev1.Pod) { p.Spec.SchedulerName = "another" })
	c.nominate("foreign", "one")
	c.schedule()
	c.pod("ours", "1")
	c.event("ours", "FailedScheduling", "Insufficient cpu")
	c.nominate("foreign", "")
	c.onNode("ours", "one")
}

// One scheduler, two names: each profile has its own plugins, arguments and events.
func TestEveryProfileDecidesInItsOwnWay(t *testing.T) {
	c := newCluster(t)
	c.node("used", "4")
	c.node("empty", "4")
	conf := t.TempDir() + "/config.yaml"
	writeFile(t, conf, `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
profiles:
  - schedulerName: default-scheduler
  - schedulerName: packer
    plugins: {multiPoint: {disabled: [{name: NodeResourcesBalancedAllocation}]}}
    pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu}]}}}]
`)
	c.pod("there", "2", func(p *corev1.Pod) { p.Spec.NodeName = "used" })
	c.schedule("--config", conf)
	c.pod("spreads", "100m")
	c.onNode("spreads", "empty")
	c.pod("packs", "100m", func(p *corev1.Pod) { p.Spec.SchedulerName = "packer" })
	c.onNode("packs", "used")
	for pod, by := range map[string]string{"spreads": "default-scheduler", "packs": "packer"} {
		c.event(pod, "Scheduled", "Successfully assigned")
		list, err := c.client.EventsV1().Events(c.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "regarding.name=" + pod})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.ReportingController != by {
				t.Errorf("%s of %s was told by %s, want %s", e.Reason, pod, e.ReportingController, by)
			}
		}
	}
}

func (c *cluster) priorityClass(name string, value int32) func(*corev1.Pod) {
	c.t.Helper()
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
	if _, err := c.client.SchedulingV1().PriorityClasses().Create(c.t.Context(), class, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = c.client.SchedulingV1().PriorityClasses().Delete(context.WithoutCancel(c.t.Context()), name, metav1.DeleteOptions{}) // the server may be gone
	})
	return func(p *corev1.Pod) { p.Spec.PriorityClassName = name }
}

func (c *cluster) delete(name string) {
	c.t.Helper()
	if err := c.client.CoreV1().Pods(c.namespace).Delete(c.t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		c.t.Fatal(err)
	}
}

func TestABindWithoutAnAnswerIsAskedForAgain(t *testing.T) {
	c := newCluster(t)
	c.node("one", "1")
	f := &fault{}
	f.loseAnswers.Store(2)
	c.behind(f).schedule()
	c.pod("done", "500m")
	c.onNode("done", "one")
	c.event("done", "Scheduled", "Successfully assigned")
	f.loseRequests.Store(2)
	c.pod("lost", "500m")
	c.onNode("lost", "one")
	if got := c.overcommitted(); got != "" {
		t.Error(got)
	}
}

// The API server goes away while pods wait, and comes back.
func TestTheAPIServerIsAway(t *testing.T) {
	c := newCluster(t)
	c.node("one", "2")
	f := &fault{}
	c.behind(f).schedule()
	c.pod("before", "1")
	c.onNode("before", "one")
	f.refuse.Store(true)
	c.pod("meanwhile", "1")
	f.refuse.Store(false)
	c.onNode("meanwhile", "one")
}

// Somebody binds the pod to another node while the scheduler decides: what counts is
// what the API server says.
func TestAPodThatSomebodyElseHasBound(t *testing.T) {
	c := newCluster(t)
	c.node("one", "1")
	c.node("two", "1")
	f := &fault{}
	f.loseRequests.Store(1) // so that ours comes second
	c.behind(f).schedule()
	pod := c.pod("web", "1")
	err := c.client.CoreV1().Pods(c.namespace).Bind(t.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: "web", UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: "two"}}, metav1.CreateOptions{})
	if err != nil {
		t.Skipf("the scheduler was faster: %v", err)
	}
	c.pod("next", "1")
	c.onNode("next", "one")
	if got := c.get("web").Spec.NodeName; got != "two" {
		t.Errorf("the pod is on node %q, want two", got)
	}
}

// Two active schedulers of different names fill the same nodes at once. Neither sees
// the other's decisions in time, so some node may get more than it has; its kubelet
// admits what fits, fails the rest, and then nothing is too much.
func TestTwoSchedulersAndTheKubelets(t *testing.T) {
	c := newCluster(t)
	const nodes, pods = 4, 60 // twice what fits
	for i := range nodes {
		c.node(fmt.Sprintf("node-%d", i), "2")
	}
	kubelets := c.kubelets()
	conf := t.TempDir() + "/config.yaml"
	writeFile(t, conf, "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nleaderElection: {leaderElect: false}\nprofiles: [{schedulerName: other}]\n")
	c.schedule()
	c.schedule("--config", conf)
	var making sync.WaitGroup
	for i := range pods {
		making.Go(func() {
			c.pod(fmt.Sprintf("pod-%d", i), "250m", func(p *corev1.Pod) {
				if i%2 == 0 {
					p.Spec.SchedulerName = "other"
				}
			})
		})
	}
	making.Wait()
	eventually(t, func() string {
		if n := kubelets.running(); n < nodes*8 {
			return fmt.Sprintf("%d pods run, and %d would fit (%d have been refused)", n, nodes*8, kubelets.refused.Load())
		}
		return ""
	})
	if kubelets.running() != nodes*8 {
		t.Errorf("%d pods run, and %d fit", kubelets.running(), nodes*8)
	}
	t.Logf("%d pods were refused by kubelets", kubelets.refused.Load())
}

// kubelets admit pods to nodes as that of step 01 does, and do nothing else.
type kubelets struct {
	refused atomic.Int32
	mu      sync.Mutex // guards the field below
	admit   map[string][]*corev1.Pod
}

func (k *kubelets) running() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, pods := range k.admit {
		n += len(pods)
	}
	return n
}

func (c *cluster) kubelets() *kubelets {
	c.t.Helper()
	k := &kubelets{admit: map[string][]*corev1.Pod{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	w, err := c.client.CoreV1().Pods(c.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName!="})
	if err != nil {
		c.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen := map[types.UID]bool{}
		for e := range w.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok && !seen[pod.UID] {
				seen[pod.UID] = true
				k.judge(ctx, c, pod)
			}
		}
	}()
	c.t.Cleanup(func() { cancel(); w.Stop(); <-done })
	return k
}

// judge is the kubelet's word about a pod that has come to its node.
func (k *kubelets) judge(ctx context.Context, c *cluster, pod *corev1.Pod) {
	node := criconfig.Node{Name: pod.Spec.NodeName, Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("32Gi")}}
	status := map[string]string{"phase": "Running"}
	k.mu.Lock()
	if refused := admission.Admit(node, 110, pod, k.admit[node.Name]); refused != nil {
		k.refused.Add(1)
		status = map[string]string{"phase": "Failed", "reason": refused.Reason}
	} else {
		k.admit[node.Name] = append(k.admit[node.Name], pod)
	}
	k.mu.Unlock()
	body := fmt.Sprintf(`{"status":{"phase":%q,"reason":%q}}`, status["phase"], status["reason"])
	_, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status")
	if err != nil && ctx.Err() == nil {
		c.t.Errorf("report pod %s: %v", pod.Name, err)
	}
}

// Two schedulers that both are meant to be the only one, and are both active for a
// while, share out the pods: each is bound once.
func TestTwoSchedulersOfOneName(t *testing.T) {
	c := newCluster(t)
	c.node("one", "64")
	c.schedule()
	c.schedule()
	const pods = 50
	var making sync.WaitGroup
	for i := range pods {
		making.Go(func() { c.pod(fmt.Sprintf("pod-%d", i), "100m") })
	}
	making.Wait()
	for i := range pods {
		c.onNode(fmt.Sprintf("pod-%d", i), "one")
	}
}

func TestHealthAndMetricsAreServed(t *testing.T) {
	c := newCluster(t)
	port := freePort(t)
	c.schedule("--secure-port", port)
	client := insecure()
	eventually(t, func() string {
		resp, err := client.Get("https://127.0.0.1:" + port + "/readyz")
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		return ""
	})
	for _, path := range []string{"/metrics", "/configz", "/debug/why?pod=a/b"} {
		resp, err := client.Get("https://127.0.0.1:" + port + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got %s for somebody unknown, want 401", path, resp.Status)
		}
	}
}

// insecure asks a scheduler whose certificate nobody knows.
func insecure() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
