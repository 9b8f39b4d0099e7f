package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/nodetest"
)

// whole is a pod with a container of each kind, each of which notes that it was
// started, and that it is told to stop.
func (n *node) whole(name string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %[1]s}
spec:
  terminationGracePeriodSeconds: 20
  initContainers:
  - &c
    name: init
    image: test.local/prog:v1
    args: [note, init, sleep, 150ms]
    volumeMounts: [{name: starts, mountPath: /starts}, {name: scratch, mountPath: /scratch}]
  - <<: *c
    name: sidecar
    restartPolicy: Always
    args: [note, sidecar, linger, 50ms]
  containers:
  - <<: *c
    name: app
    args: [note, app, print, hello, linger, 100ms]
    resources: {requests: {cpu: 10m, memory: 8Mi}, limits: {memory: 64Mi}}
    lifecycle:
      postStart: {exec: {command: [/prog, sleep, 50ms]}}
      preStop: {exec: {command: [/prog, sleep, 50ms]}}
  volumes:
  - {name: starts, hostPath: {path: %[2]s, type: FileOrCreate}}
  - {name: scratch, emptyDir: {}}
`, name, n.path("starts"))
}

var once = map[string]int{"init": 1, "sidecar": 1, "app": 1}

// The kubelet is killed at every moment of a pod's beginning; the next one
// finds what there is, and does the rest.
func TestKillAtEveryMomentOfTheBeginning(t *testing.T) {
	needsRoot(t)
	for delay := time.Duration(0); delay < 800*time.Millisecond; delay += 50 * time.Millisecond {
		t.Run(delay.String(), func(t *testing.T) {
			n := newNode(t)
			n.start()
			n.until("the kubelet to answer", func(pods map[string]*corev1.Pod) bool { return pods != nil })
			n.write("manifests/whole.yaml", n.whole("whole"))
			<-time.After(delay)
			n.kill()
			n.start()
			n.until("the pod to be ready", func(pods map[string]*corev1.Pod) bool { return ready(pods["whole"]) })
			n.started(once)
			for _, c := range n.pods()["whole"].Status.ContainerStatuses {
				if c.RestartCount != 0 {
					t.Errorf("container %s was restarted %d times", c.Name, c.RestartCount)
				}
			}
		})
	}
}

// And at every moment of its end: nothing may be left of the pod.
func TestKillAtEveryMomentOfTheEnd(t *testing.T) {
	needsRoot(t)
	n := newNode(t)
	n.start()
	for delay := time.Duration(0); delay < 500*time.Millisecond; delay += 40 * time.Millisecond {
		n.write("manifests/whole.yaml", n.whole(fmt.Sprintf("whole%d", delay.Milliseconds())))
		n.until("the pod to be ready", func(pods map[string]*corev1.Pod) bool {
			return len(pods) == 1 && ready(pods[fmt.Sprintf("whole%d", delay.Milliseconds())])
		})
		if err := os.Remove(n.path("manifests/whole.yaml")); err != nil {
			t.Fatal(err)
		}
		<-time.After(delay)
		n.kill()
		n.start()
		n.until("the pod to be gone", func(pods map[string]*corev1.Pod) bool { return pods != nil && len(pods) == 0 })
		n.leftoversOfPods()
	}
}

// What happens to the manifests while no kubelet runs is found out by the next one.
func TestManifestsChangeWhileTheKubeletIsDown(t *testing.T) {
	n := newNode(t)
	for _, name := range []string{"stays", "goes", "changes"} {
		n.write("manifests/"+name+".yaml", strings.ReplaceAll(n.whole(name), "note, ", "note, "+name+"-"))
	}
	n.start()
	all := func(pods map[string]*corev1.Pod) bool {
		return len(pods) == 3 && ready(pods["stays"]) && ready(pods["goes"]) && ready(pods["changes"])
	}
	n.until("three pods", all)
	before := n.pods()
	n.kill()
	if err := os.Remove(n.path("manifests/goes.yaml")); err != nil {
		t.Fatal(err)
	}
	n.write("manifests/changes.yaml", strings.ReplaceAll(n.whole("changes"), "note, ", "note, new-"))
	n.start()
	n.until("the one that goes to be gone, and the one that changes to be another", func(pods map[string]*corev1.Pod) bool {
		return len(pods) == 2 && ready(pods["stays"]) && ready(pods["changes"]) && pods["changes"].UID != before["changes"].UID
	})
	want := map[string]int{}
	for _, container := range []string{"init", "sidecar", "app"} {
		for _, name := range []string{"stays-", "goes-", "changes-", "new-"} {
			want[name+container] = 1
		}
	}
	n.started(want)
}

// A manifest is moved away and back while its pod is being stopped: the pod has the
// same UID, and so the same directories, cgroup and sandbox name, and begins anew.
func TestAManifestThatComesBack(t *testing.T) {
	n := newNode(t)
	n.write("manifests/whole.yaml", n.whole("whole"))
	n.start()
	n.until("the pod to be ready", func(pods map[string]*corev1.Pod) bool { return ready(pods["whole"]) })
	before := n.pods()["whole"]
	if err := os.Rename(n.path("manifests/whole.yaml"), n.path("whole.yaml")); err != nil {
		t.Fatal(err)
	}
	n.until("the pod to be stopped", func(map[string]*corev1.Pod) bool {
		return strings.Contains(read(t, n.log.Name()), "Stopping container")
	})
	if err := os.Rename(n.path("whole.yaml"), n.path("manifests/whole.yaml")); err != nil {
		t.Fatal(err)
	}
	n.until("the pod to be ready with other containers", func(pods map[string]*corev1.Pod) bool {
		return ready(pods["whole"]) && pods["whole"].Status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID
	})
	if after := n.pods()["whole"]; after.UID != before.UID {
		t.Errorf("got UID %s, want %s: the test is not about what it says", after.UID, before.UID)
	}
	n.started(map[string]int{"init": 2, "sidecar": 2, "app": 2})
}

// A killed shim is replaced; its containers neither notice nor run twice.
func TestKillShim(t *testing.T) {
	n := newNode(t)
	n.write("manifests/whole.yaml", n.whole("whole"))
	n.start()
	n.until("the pod to be ready", func(pods map[string]*corev1.Pod) bool { return ready(pods["whole"]) })
	id := n.pods()["whole"].Status.ContainerStatuses[0].ContainerID
	n.killShims()
	n.kill()
	n.start()
	n.until("the pod to be ready", func(pods map[string]*corev1.Pod) bool { return ready(pods["whole"]) })
	if got := n.pods()["whole"].Status.ContainerStatuses[0].ContainerID; got != id {
		t.Errorf("got container %s, want %s", got, id)
	}
	n.started(once)
}

func TestStatesAndMessages(t *testing.T) {
	n := newNode(t)
	pod := func(name, spec string) {
		n.write("manifests/"+name+".yaml", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: c\n    image: test.local/prog:v1\n%s", name, spec))
	}
	pod("completed", "    args: [exit, '0']\n")
	pod("failed", "    args: [write, 'no disk', exit, '3']\n")
	pod("logs", "    args: [print, last words, exit, '4']\n    terminationMessagePolicy: FallbackToLogsOnError\n")
	pod("oom", "    args: [eat, '100']\n    resources: {limits: {memory: 30Mi}}\n")
	pod("never", "    imagePullPolicy: Never\n")
	n.write("manifests/never.yaml", strings.Replace(read(t, n.path("manifests/never.yaml")), "prog:v1", "prog:v2", 1))
	pod("nocommand", "    command: [/no/such/file]\n")
	// Where the first is too short for its container to start, the second is not.
	pod("deadline", "    args: [sleep, 1h]\n  activeDeadlineSeconds: 1\n")
	pod("patient", "    args: [sleep, 1h]\n  activeDeadlineSeconds: 40\n")
	pod("root", "    args: [sleep, 1h]\n    securityContext: {runAsNonRoot: true}\n")
	pod("large", "    resources: {requests: {cpu: '10000'}}\n")
	n.start()
	is := func(p *corev1.Pod, phase, state string) bool {
		return p != nil && strings.HasPrefix(strings.TrimSpace(string(p.Status.Phase)+" "+p.Status.Reason+" "+p.Status.Message), phase) && strings.Contains(describe(p), state)
	}
	for _, c := range []struct{ pod, phase, state string }{
		{"completed", "Succeeded", "Completed 0"},
		{"failed", "Failed", "Error 3 no disk"},
		{"logs", "Failed", "Error 4 last words"},
		{"oom", "Failed", "OOMKilled 137"},
		{"never", "Pending", "ErrImageNeverPull"},
		{"deadline", "Failed DeadlineExceeded", ""},
		{"root", "Pending", "CreateContainerConfigError"},
		{"large", "Failed OutOfcpu Pod was rejected: Node didn't have enough resource: cpu", ""},
		{"nocommand", "", "no/such/file"},
	} {
		n.until(c.pod+" to be "+c.phase+" with "+c.state, func(pods map[string]*corev1.Pod) bool {
			return is(pods[c.pod], c.phase, c.state)
		})
	}
	n.until("a container to be stopped at its pod's deadline", func(pods map[string]*corev1.Pod) bool {
		const phase, state = "Failed DeadlineExceeded", "Completed 0"
		return is(pods["deadline"], phase, state) || is(pods["patient"], phase, state)
	})
}

func describe(p *corev1.Pod) string {
	var s string
	for _, c := range p.Status.ContainerStatuses {
		for _, state := range []corev1.ContainerState{c.State, c.LastTerminationState} {
			if t := state.Terminated; t != nil {
				s += fmt.Sprintf("%s %d %s", t.Reason, t.ExitCode, t.Message)
			}
			if w := state.Waiting; w != nil {
				s += w.Reason + " " + w.Message
			}
		}
	}
	return s
}

func read(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// BenchmarkManifestToRunning measures from the moment a manifest is written
// until /pods shows its container running, and the processor time that the
// kubelet, with the runtime in it, spends on a pod from its beginning to its end.
func BenchmarkManifestToRunning(b *testing.B) {
	for _, count := range []int{1, 100} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			n := newNode(b)
			n.start()
			n.until("the kubelet to answer", func(pods map[string]*corev1.Pod) bool { return pods != nil })
			for i := 0; b.Loop(); i++ {
				var text strings.Builder
				for j := range count {
					fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%d-%d}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: '%s', args: [sleep, 1h]}]}\n", i, j, nodetest.Image)
				}
				n.write("manifests/pods.yaml", text.String())
				n.until("all of them to run", func(pods map[string]*corev1.Pod) bool {
					running := 0
					for _, p := range pods {
						if p.Status.Phase == corev1.PodRunning {
							running++
						}
					}
					return running == count
				})
				b.StopTimer()
				if err := os.Remove(n.path("manifests/pods.yaml")); err != nil {
					b.Fatal(err)
				}
				n.until("them to be gone", func(pods map[string]*corev1.Pod) bool { return pods != nil && len(pods) == 0 })
				b.StartTimer()
			}
			b.ReportMetric(float64(n.cpuTime().Milliseconds())/float64(b.N*count), "kubelet-ms/pod")
		})
	}
}
