package static_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource/podsourcetest"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource/static"
)

func TestConformance(t *testing.T) {
	podsourcetest.Run(t, func(t *testing.T) podsourcetest.Origin {
		s := static.New()
		return podsourcetest.Origin{Source: s, Set: func(_ *testing.T, pods ...*corev1.Pod) {
			for _, p := range pods {
				p.Namespace, p.UID = "default", "uid-of-"+p.UID
				manifest.SetDefaults(p)
			}
			s.Set(pods...)
		}}
	})
}

func TestTeeSeesASetBeforeTheKubeletDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var order []string
	tee := podsource.Tee(static.New(&corev1.Pod{}), func(pods []*corev1.Pod) {
		if len(pods) == 1 {
			order = append(order, "seen")
		}
	})
	err := tee.Run(ctx, func([]*corev1.Pod) {
		order = append(order, "passed on")
		cancel()
	})
	if err != nil || len(order) != 2 || order[0] != "seen" || tee.Name() != "static" {
		t.Errorf("got %q, %v from %s", order, err, tee.Name())
	}
}
