package observed_test

import (
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	labels "k8s.io/kubelet/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/internal/fakecri"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

// runPod makes a pod as a kubelet would, and returns the id of its sandbox.
func runPod(t *testing.T, rt *fakecri.Runtime, uid string) string {
	t.Helper()
	resp, err := rt.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: "web", Namespace: "default", Uid: uid},
		Labels:   map[string]string{labels.KubernetesPodUIDLabel: uid, labels.KubernetesPodNameLabel: "web", labels.KubernetesPodNamespaceLabel: "default"}}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.PodSandboxId
}

func runContainer(t *testing.T, rt *fakecri.Runtime, sandbox, uid string, attempt uint32, annotations map[string]string) {
	t.Helper()
	resp, err := rt.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: sandbox, Config: &runtimeapi.ContainerConfig{
		Metadata:    &runtimeapi.ContainerMetadata{Name: "c", Attempt: attempt},
		Image:       &runtimeapi.ImageSpec{Image: "web:v1"},
		Labels:      map[string]string{labels.KubernetesPodUIDLabel: uid, labels.KubernetesContainerNameLabel: "c"},
		Annotations: annotations}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: resp.ContainerId}); err != nil {
		t.Fatal(err)
	}
}

func TestReadFindsOnePodAndTheNewestFirst(t *testing.T) {
	rt := fakecri.New("web:v1")
	sandbox := runPod(t, rt, "one")
	runContainer(t, rt, sandbox, "one", 0, nil)
	runContainer(t, rt, sandbox, "one", 1, nil)
	runPod(t, rt, "other")
	p, err := observed.Read(t.Context(), rt, "one")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "web" || len(p.Sandboxes) != 1 || len(p.Containers) != 2 || p.Container("c").Attempt != 1 || p.Sandbox().IPs[0] == "" {
		t.Errorf("got %+v", p)
	}
	if p, err := observed.Read(t.Context(), rt, "none"); err != nil || p.UID != "none" || p.Alive() {
		t.Errorf("a pod that the runtime does not know: got %+v, %v", p, err)
	}
}

func TestWhatIsNotAKubeletsIsLeftOut(t *testing.T) {
	rt := fakecri.New()
	if _, err := rt.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: "by-hand"}}}); err != nil {
		t.Fatal(err)
	}
	if pods, err := observed.List(t.Context(), rt); err != nil || len(pods) != 0 {
		t.Errorf("got %v, %v: a sandbox that somebody ran with crictl is none of ours to stop", pods, err)
	}
}

func TestSpecOfAnOrphan(t *testing.T) {
	rt := fakecri.New("web:v1")
	runContainer(t, rt, runPod(t, rt, "one"), "one", 0, map[string]string{
		"io.kubernetes.pod.terminationGracePeriod": "7",
		"io.kubernetes.container.ports":            `[{"name":"admin","containerPort":8081}]`,
		"io.kubernetes.container.preStopHandler":   `{"exec":{"command":["drain"]}}`})
	p, err := observed.Read(t.Context(), rt, "one")
	if err != nil {
		t.Fatal(err)
	}
	spec := p.Spec()
	if *spec.Spec.TerminationGracePeriodSeconds != 7 || spec.Spec.Containers[0].Lifecycle.PreStop.Exec.Command[0] != "drain" {
		t.Errorf("got %+v", spec.Spec)
	}
	if ports := spec.Spec.Containers[0].Ports; len(ports) != 1 || ports[0].Name != "admin" || ports[0].ContainerPort != 8081 {
		t.Errorf("got ports %v: a hook that asks port admin would find none", ports)
	}
}
