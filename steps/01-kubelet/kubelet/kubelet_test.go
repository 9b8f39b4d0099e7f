package kubelet

import (
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/imagepull"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/internal/fakecri"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/lifecycle"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource/static"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
)

// Of pods that come together and fit only one by one, one runs.
func TestOnePodOfManyThatDoNotFitTogetherIsAdmitted(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var pods []*corev1.Pod
		for _, name := range []string{"a", "b", "c", "d"} {
			pod := podWith(corev1.RestartPolicyAlways, "main")
			pod.Name, pod.Namespace, pod.UID = name, "default", types.UID(name)
			pods = append(pods, pod)
		}
		rt, log := fakecri.New("x:v1"), slog.New(slog.DiscardHandler)
		k := &Kubelet{
			Node:    criconfig.Node{Name: "node-1", RootDir: root, PodLogsDir: root + "/logs"},
			Sources: []podsource.Source{static.New(pods...)}, Runtime: rt, Images: &imagepull.Puller{Images: rt, Events: event.Recorders{}},
			Volumes: noVolumes{}, Cgroups: noCgroups{}, Probes: newFakeProbes(), Hooks: lifecycle.New(rt),
			Status: podstatus.Sinks{}, Events: event.Recorders{}, Log: log,
			Admit: func(_ *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection {
				if len(others) > 0 {
					return &criconfig.Rejection{Reason: "OutOfcpu"}
				}
				return nil
			},
		}
		ctx, running := t.Context(), sync.WaitGroup{}
		running.Go(func() {
			if err := k.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		phases := map[corev1.PodPhase]int{}
		for _, pod := range k.Pods() {
			phases[pod.Status.Phase]++
			if n := len(pod.Status.ContainerStatuses); n > 0 && pod.Status.Phase == corev1.PodFailed {
				t.Errorf("pod %s was refused and has %d container statuses, want none: they would seem to be on their way", pod.Name, n)
			}
		}
		if phases[corev1.PodRunning] != 1 || phases[corev1.PodFailed] != 3 {
			t.Errorf("got %v, want one that runs and three that were refused", phases)
		}
	})
}
