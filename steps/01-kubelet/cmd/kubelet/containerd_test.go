package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// The kubelet with another runtime than ours: everything that it asks of one, once.
func TestContainerdBehindTheEndpoint(t *testing.T) {
	c := startContainerd(t)
	n := newNode(t)
	n.endpoint = "unix://" + c.socket
	kubelet := n.openAPI()
	n.write("manifests/whole.yaml", strings.NewReplacer(
		"print, hello, ", "print, hello, serve, ':80', ",
		"name: app\n", `name: app
    readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, timeoutSeconds: 30}
    livenessProbe: {exec: {command: [/prog, sleep, 1ms]}, periodSeconds: 1, timeoutSeconds: 30}
`).Replace(n.whole("whole")))
	n.write("manifests/host.yaml", `{apiVersion: v1, kind: Pod, metadata: {name: host}, spec: {hostNetwork: true, restartPolicy: Never, containers: [
  {name: c, image: 'test.local/prog:v1', args: [write, no disk, exit, '3']}]}}`)
	n.start()
	n.until("a pod to be ready", func(pods map[string]*corev1.Pod) bool { return ready(pods["whole"]) })
	n.until("a pod to have failed", func(pods map[string]*corev1.Pod) bool {
		return pods["host"] != nil && pods["host"].Status.Phase == corev1.PodFailed && strings.Contains(describe(pods["host"]), "Error 3 no disk")
	})

	n.until("a log", func(map[string]*corev1.Pod) bool {
		return kubelet.get("/containerLogs/default/whole-node/app") == "hello\n"
	})
	output, status := kubelet.exec("/exec/default/whole-node/app", "/prog", "print", "there", "exit", "3")
	if output != "there\n" || !strings.Contains(status, `"reason":"NonZeroExitCode"`) || !strings.Contains(status, `"message":"3"`) {
		t.Errorf("got output %q and status %s of a command", output, status)
	}
	if got := kubelet.portForward("/portForward/default/whole-node", "80"); got != "hello\n" {
		t.Errorf("got %q by a forwarded port", got)
	}
	n.until("numbers of all that runs", func(map[string]*corev1.Pod) bool { return len(missingNumbers(t, kubelet.get("/stats/summary"))) == 0 })

	// Neither of the two is missed by what runs.
	before := ids(n.pods()["whole"])
	if len(before) != 3 || slices.ContainsFunc(slices.Collect(maps.Values(before)), func(id string) bool { return !strings.HasPrefix(id, "containerd://") }) {
		t.Errorf("got containers %v, want three of containerd's", before)
	}
	same := func(when string) {
		n.until("the pod to be ready "+when, func(pods map[string]*corev1.Pod) bool { return ready(pods["whole"]) })
		if after := ids(n.pods()["whole"]); !maps.Equal(after, before) {
			t.Errorf("got containers %v %s, want %v", after, when, before)
		}
	}
	n.kill()
	n.start()
	same("after the kubelet was killed")
	c.kill()
	c.start()
	c.dial()
	n.until("the kubelet to reach containerd again", func(map[string]*corev1.Pod) bool {
		_, err := kubelet.try("/runningpods/")
		return err == nil
	})
	if output, _ := kubelet.exec("/exec/default/whole-node/app", "/prog", "print", "still there"); output != "still there\n" {
		t.Errorf("got output %q of a command after containerd was killed", output)
	}
	same("after containerd was killed")
	n.started(once)

	for _, name := range []string{"whole", "host"} {
		if err := os.Remove(n.path("manifests/" + name + ".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	n.until("the pods to be gone", func(pods map[string]*corev1.Pod) bool { return pods != nil && len(pods) == 0 })
	n.leftoversOfPods()
	n.untilNone(c.ofPods)
}

// ids are a pod's container ids by name.
func ids(pod *corev1.Pod) map[string]string {
	ids := map[string]string{}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		ids[s.Name] = s.ContainerID
	}
	return ids
}

// missingNumbers names what a runtime should have measured, and has not.
func missingNumbers(t *testing.T, text string) (missing []string) {
	t.Helper()
	var summary statsapi.Summary
	if err := json.Unmarshal([]byte(text), &summary); err != nil {
		t.Fatal(err)
	}
	check := func(what string, number *uint64) {
		if number == nil || *number == 0 {
			missing = append(missing, what)
		}
	}
	if r := summary.Node.Runtime; r == nil || r.ImageFs == nil {
		missing = append(missing, "image file system")
	} else {
		check("image file system", r.ImageFs.UsedBytes)
	}
	i := slices.IndexFunc(summary.Pods, func(p statsapi.PodStats) bool { return p.PodRef.Name == "whole-node" })
	if i < 0 {
		return append(missing, "pod")
	}
	pod := summary.Pods[i]
	if pod.CPU == nil || pod.Memory == nil {
		missing = append(missing, "pod's CPU or memory")
	} else {
		check("CPU of the pod", pod.CPU.UsageCoreNanoSeconds)
		check("memory of the pod", pod.Memory.WorkingSetBytes)
	}
	if len(pod.Containers) != 2 {
		missing = append(missing, fmt.Sprintf("two running containers: got %d", len(pod.Containers)))
	}
	for _, c := range pod.Containers {
		if c.CPU == nil || c.Memory == nil {
			missing = append(missing, c.Name)
			continue
		}
		check("CPU of "+c.Name, c.CPU.UsageCoreNanoSeconds)
		check("memory of "+c.Name, c.Memory.WorkingSetBytes)
	}
	return missing
}
