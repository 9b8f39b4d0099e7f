package apivolume

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/generated"
)

// Keep returns a plugin of generated volumes which, when a volume can't be brought
// up to date, leaves it as it is, once it has been written. A pod must be able to
// restart its containers while the API server is away, even when a token has ended,
// and after somebody has deleted its configMap.
//
// Upstream has the same effect: a volume that is mounted counts as such, whatever
// becomes of mounting it again (volumemanager/reconciler).
func Keep(p volume.Plugin, log *slog.Logger) volume.Plugin { return kept{p, log} }

type kept struct {
	volume.Plugin
	log *slog.Logger
}

var _ volume.ReadOnly = kept{}

// ReadOnly implements [volume.ReadOnly].
func (kept) ReadOnly() bool { return true }

// SetUp implements [volume.Plugin].
func (k kept) SetUp(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, dir string) (string, error) {
	path, err := k.Plugin.SetUp(ctx, pod, v, dir)
	if err == nil || ctx.Err() != nil || !generated.Written(dir) {
		return path, err
	}
	k.log.Warn("volume not brought up to date, its pod keeps what it has", "pod", pod.Namespace+"/"+pod.Name, "volume", v.Name, "err", err)
	return dir, nil
}
