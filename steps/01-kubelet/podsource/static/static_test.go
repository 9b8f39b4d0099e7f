package static_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
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
