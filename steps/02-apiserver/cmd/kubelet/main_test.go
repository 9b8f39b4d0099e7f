package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

const sleeper = `{terminationGracePeriodSeconds: 5, containers: [{name: app, image: 'test.local/prog:v1', args: [print, hello, linger, 100ms]}]}`

func TestTheNodeIsRegisteredAndAlive(t *testing.T) {
	c := newCluster(t)
	c.eventually("the node to be ready", func() error {
		n, err := c.client.CoreV1().Nodes().Get(context.Background(), "node", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue && condition.Reason == "KubeletReady" {
				if n.Labels["disk"] != "ssd" || n.Status.NodeInfo.KernelVersion == "" || n.Status.Capacity.StorageEphemeral().IsZero() || len(n.Status.Images) != 1 {
					return fmt.Errorf("incomplete: %+v", n)
				}
				return nil
			}
		}
		return fmt.Errorf("conditions %+v", n.Status.Conditions)
	})
	c.eventually("the lease to be the node's", func() error {
		l, err := c.client.CoordinationV1().Leases("kube-node-lease").Get(context.Background(), "node", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if *l.Spec.HolderIdentity != "node" || *l.Spec.LeaseDurationSeconds != 40 || time.Since(l.Spec.RenewTime.Time) > time.Minute {
			return fmt.Errorf("lease %+v", l.Spec)
		}
		return nil
	})
}

func TestAPodsLife(t *testing.T) {
	c := newCluster(t)
	c.create("web", sleeper)
	pod := c.until("web", "ready", ready)
	if pod.Status.PodIP == "" || pod.Status.HostIP != "127.0.0.1" || pod.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("got status %+v", pod.Status)
	}
	c.eventually("events to tell of it", func() error {
		events, err := c.client.CoreV1().Events("default").List(context.Background(), metav1.ListOptions{FieldSelector: "involvedObject.name=web"})
		if err != nil {
			return err
		}
		found := map[string]bool{}
		for _, e := range events.Items {
			found[e.Source.Component+" "+e.Reason+" "+e.InvolvedObject.FieldPath] = true
		}
		if !found["kubelet Pulled spec.containers{app}"] || !found["kubelet Started spec.containers{app}"] {
			return fmt.Errorf("events %v", found)
		}
		return nil
	})
	c.eventually("its log", func() error {
		logs, err := c.client.CoreV1().Pods("default").GetLogs("web", &corev1.PodLogOptions{}).DoRaw(context.Background())
		if err == nil && string(logs) != "hello\n" {
			err = fmt.Errorf("got %q", logs)
		}
		return err
	})
	if err := c.client.CoreV1().Pods("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if pod, err := c.get("web"); err != nil || pod.DeletionTimestamp == nil {
		t.Errorf("got %v, %v: want the pod to be there, and marked, until its containers have ended", pod, err)
	}
	c.gone("web")
}

func TestAPodThatEndsByItselfStaysUntilItIsDeleted(t *testing.T) {
	c := newCluster(t)
	c.create("job", `{restartPolicy: Never, containers: [{name: app, image: 'test.local/prog:v1', args: [write, done, exit, '0']}]}`)
	ended := func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodSucceeded }
	c.until("job", "succeeded", ended)
	kill(&c.node)
	c.startNode()
	c.create("web", sleeper)
	c.until("web", "ready", ready)
	pod := c.until("job", "succeeded", ended)
	if message := pod.Status.ContainerStatuses[0].State.Terminated.Message; message != "done" {
		t.Errorf("got message %q, want that of before the kubelet was started anew", message)
	}
	if err := c.client.CoreV1().Pods("default").Delete(t.Context(), "job", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.gone("job")
}

// What a container reads of its configMap is that of now; as a variable, that of
// its start.
func TestConfigurationReachesThePod(t *testing.T) {
	c := newCluster(t)
	c.create("web", `
terminationGracePeriodSeconds: 1
containers:
- name: app
  image: test.local/prog:v1
  args: [print, 'color=$(COLOR) pass=$(P_password) api=$(KUBERNETES_SERVICE_PORT)', linger, 0s]
  env: [{name: COLOR, valueFrom: {configMapKeyRef: {name: conf, key: color}}}]
  envFrom: [{prefix: P_, secretRef: {name: login}}]
  volumeMounts: [{name: conf, mountPath: /conf}, {name: login, mountPath: /login}]
volumes:
- {name: conf, configMap: {name: conf}}
- {name: login, secret: {secretName: login, defaultMode: 0400}}
`)
	maps, secrets := c.client.CoreV1().ConfigMaps("default"), c.client.CoreV1().Secrets("default")
	c.eventually("an event to tell what is missing", func() error {
		events, err := c.client.CoreV1().Events("default").List(context.Background(), metav1.ListOptions{FieldSelector: "reason=FailedMount"})
		if err == nil && len(events.Items) == 0 {
			err = errors.New("no such event")
		}
		return err
	})
	conf := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "conf"}, Data: map[string]string{"color": "red"}}
	if _, err := maps.Create(t.Context(), conf, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	login := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "login"}, StringData: map[string]string{"password": "x"}}
	if _, err := secrets.Create(t.Context(), login, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := c.until("web", "ready", ready)
	c.eventually("the variables", func() error {
		if got := c.logOf(pod); !strings.Contains(got, "color=red pass=x api=443") {
			return fmt.Errorf("log %q", got)
		}
		return nil
	})
	volumes := c.path("kubelet/pods/" + string(pod.UID) + "/volumes")
	conf.Data["color"] = "green"
	if _, err := maps.Update(t.Context(), conf, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.eventually("the change to reach the volume", func() error {
		got, err := os.ReadFile(filepath.Join(volumes, "kubernetes.io~configmap/conf/color"))
		if err == nil && string(got) != "green" {
			err = fmt.Errorf("it has %q", got)
		}
		return err
	})
	t.Logf("the change took %v", time.Since(began))
	info, err := os.Stat(filepath.Join(volumes, "kubernetes.io~secret/login/password"))
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("the secret: got %v, %v, want mode 400", info, err)
	}
	tokens, _ := filepath.Glob(filepath.Join(volumes, "kubernetes.io~projected/kube-api-access-*/token"))
	if len(tokens) != 1 {
		t.Errorf("got tokens %v, want one", tokens)
	}
}

func TestAMissingVariableIsExplained(t *testing.T) {
	c := newCluster(t)
	c.create("web", `{terminationGracePeriodSeconds: 1, containers: [{name: app, image: 'test.local/prog:v1', args: [linger, 0s], envFrom: [{configMapRef: {name: none}}]}]}`)
	pod := c.until("web", "waiting", func(pod *corev1.Pod) bool {
		return len(pod.Status.ContainerStatuses) == 1 && pod.Status.ContainerStatuses[0].State.Waiting != nil &&
			pod.Status.ContainerStatuses[0].State.Waiting.Reason == "CreateContainerConfigError"
	})
	if got, want := pod.Status.ContainerStatuses[0].State.Waiting.Message, `configmap "none" not found`; got != want {
		t.Errorf("got message %q, want %q", got, want)
	}
}

const static = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {terminationGracePeriodSeconds: 1, containers: [{name: app, image: 'test.local/prog:v1', args: [print, %s, linger, 0s]}]}\n"

func TestMirrorPods(t *testing.T) {
	c := newCluster(t)
	c.write("manifests/etcd.yaml", fmt.Sprintf(static, "etcd", "one"))
	first := c.until("etcd-node", "ready", ready)
	if first.Annotations[podsource.Annotation] != "file" || metav1.GetControllerOf(first) == nil || metav1.GetControllerOf(first).Kind != "Node" {
		t.Errorf("got %+v", first.ObjectMeta)
	}
	if err := c.client.CoreV1().Pods("default").Delete(t.Context(), "etcd-node", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	second := c.until("etcd-node", "back, and the same container", func(pod *corev1.Pod) bool { return pod.UID != first.UID && ready(pod) })
	if startedAt(second) != startedAt(first) {
		t.Error("the static pod was started anew because its mirror was deleted")
	}
	c.write("manifests/etcd.yaml", fmt.Sprintf(static, "etcd", "two"))
	c.until("etcd-node", "of the new manifest", func(pod *corev1.Pod) bool {
		return pod.Annotations[corev1.MirrorPodAnnotationKey] != first.Annotations[corev1.MirrorPodAnnotationKey] && ready(pod)
	})
	if err := os.Remove(c.path("manifests/etcd.yaml")); err != nil {
		t.Fatal(err)
	}
	c.gone("etcd-node")
}

// An outage of the API server, also together with a restart of the kubelet, stops
// and restarts nothing; afterwards the API server learns what has happened.
func TestAnOutageTouchesNoPod(t *testing.T) {
	c := newCluster(t)
	c.create("stays", sleeper)
	c.create("ends", `{restartPolicy: Never, containers: [{name: app, image: 'test.local/prog:v1', args: [file, /end/now, sleep, 1h]}]}`)
	stays := c.until("stays", "ready", ready)
	ends := c.until("ends", "ready", ready)
	kill(&c.api)
	kill(&c.node)
	c.write("manifests/local.yaml", fmt.Sprintf(static, "local", "one"))
	c.startNode()
	c.eventually("the static pod to run during the outage", func() error {
		logs, err := filepath.Glob(c.path("logs/default_local-node_*/app/0.log"))
		if err == nil && len(logs) == 0 {
			err = errors.New("no log")
		}
		return err
	})
	c.stopContainer(ends)
	if c.processes(stays) == 0 {
		t.Error("the pod was stopped although nobody has said so")
	}
	c.startAPI()
	c.until("local-node", "ready", ready)
	c.until("ends", "failed, as it is in truth", func(pod *corev1.Pod) bool {
		return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	})
	if after := c.until("stays", "ready", ready); startedAt(after) != startedAt(stays) {
		t.Error("the container was restarted")
	}
}

// A container that ends while the API server is away is restarted, with all that it
// has from there.
func TestAContainerIsRestartedDuringAnOutage(t *testing.T) {
	c := newCluster(t)
	conf := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "conf"}, Data: map[string]string{"color": "red"}}
	_, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), conf, metav1.CreateOptions{})
	c.check(err)
	c.create("web", `
terminationGracePeriodSeconds: 1
containers:
- name: app
  image: test.local/prog:v1
  args: [print, 'color=$(COLOR) api=$(KUBERNETES_SERVICE_PORT)', linger, 0s]
  env: [{name: COLOR, valueFrom: {configMapKeyRef: {name: conf, key: color}}}]
  volumeMounts: [{name: conf, mountPath: /conf}]
volumes: [{name: conf, configMap: {name: conf}}]
`)
	pod := c.until("web", "ready", ready)
	printed := func(times int) func() error {
		return func() error {
			if log := c.logOf(pod); strings.Count(log, "color=red api=443") != times {
				return fmt.Errorf("log %q", log)
			}
			return nil
		}
	}
	c.eventually("the container to say what it sees", printed(1))
	kill(&c.api)
	c.stopContainer(pod)
	c.eventually("the container to run again", printed(2))
	c.startAPI()
	c.until("web", "ready after one restart", func(pod *corev1.Pod) bool {
		return ready(pod) && pod.Status.ContainerStatuses[0].RestartCount == 1
	})
}

// The kubelet is killed at random moments while pods come and go: each comes up, and
// each that was deleted goes. (That no container runs twice is for the tests of
// step 01, which know the moments.)
func TestKillTheKubeletAtRandom(t *testing.T) {
	c := newCluster(t)
	for round := range 8 {
		name := fmt.Sprintf("pod-%d", round)
		c.create(name, sleeper)
		<-time.After(between(0, 700*time.Millisecond))
		kill(&c.node)
		c.startNode()
		c.until(name, "ready", neverRestarted)
		if round%2 == 0 {
			continue
		}
		if err := c.client.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(between(0, 400*time.Millisecond))
		kill(&c.node)
		c.startNode()
		c.gone(name)
	}
	for round := 0; round < 8; round += 2 {
		c.until(fmt.Sprintf("pod-%d", round), "as it was", neverRestarted)
	}
}

func neverRestarted(pod *corev1.Pod) bool {
	return ready(pod) && pod.Status.ContainerStatuses[0].RestartCount == 0
}

// Both are killed at random moments: every pod that was acknowledged comes up, and
// those that run go on.
func TestKillBothAtRandom(t *testing.T) {
	c := newCluster(t)
	var before []*corev1.Pod
	for round := range 4 {
		name := fmt.Sprintf("pod-%d", round)
		c.create(name, sleeper)
		<-time.After(between(0, 500*time.Millisecond))
		kill(&c.api)
		<-time.After(between(0, 300*time.Millisecond))
		if round%2 == 0 {
			kill(&c.node)
			c.startNode()
		}
		c.startAPI()
		before = append(before, c.until(name, "ready", neverRestarted))
	}
	for _, pod := range before {
		c.until(pod.Name, "the same container", func(now *corev1.Pod) bool { return startedAt(now) == startedAt(pod) })
	}
}
