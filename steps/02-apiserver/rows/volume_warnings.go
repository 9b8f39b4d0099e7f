package rows

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A madeFile is a path within a volume that is made from objects, and what is written there.
type madeFile struct{ path, source string }

func (f madeFile) String() string {
	if f.source == "" {
		return fmt.Sprintf("%q", f.path)
	}
	return fmt.Sprintf("%q (%s)", f.path, f.source)
}

// hides: the two are one file, or one is a folder that has the other.
func (f madeFile) hides(o madeFile) bool {
	return f.path == o.path || strings.HasPrefix(f.path, o.path+"/") || strings.HasPrefix(o.path, f.path+"/")
}

// made tells of files of one volume that are in each other's way.
func (w *warnings) made(v corev1.Volume) {
	switch {
	case v.ConfigMap != nil:
		w.overlaps(v.Name, fmt.Sprintf("ConfigMap %q", v.ConfigMap.Name), keyFiles(v.ConfigMap.Items, ""))
	case v.Secret != nil:
		w.overlaps(v.Name, fmt.Sprintf("Secret %q", v.Secret.SecretName), keyFiles(v.Secret.Items, ""))
	case v.DownwardAPI != nil:
		w.overlaps(v.Name, "DownwardAPI", downwardFiles(v.DownwardAPI.Items, ""))
	case v.Projected != nil:
		var files []madeFile
		for _, s := range v.Projected.Sources {
			if s == (corev1.VolumeProjection{}) {
				w.list = append(w.list, fmt.Sprintf("volume %q (Projected) has no sources provided", v.Name))
			}
			files = append(files, projectedFiles(s)...)
		}
		w.overlaps(v.Name, "Projected", files)
	}
}

func (w *warnings) overlaps(volume, kind string, files []madeFile) {
	for i, f := range files {
		for _, before := range files[:i] {
			if f.hides(before) {
				w.list = append(w.list, fmt.Sprintf("volume %q (%s): overlapping paths: %s with %s", volume, kind, f, before))
			}
		}
	}
}

func keyFiles(items []corev1.KeyToPath, source string) (files []madeFile) {
	for _, item := range items {
		files = append(files, madeFile{strings.TrimRight(item.Path, "/"), source})
	}
	return files
}

func downwardFiles(items []corev1.DownwardAPIVolumeFile, source string) (files []madeFile) {
	for _, item := range items {
		files = append(files, madeFile{strings.TrimRight(item.Path, "/"), source})
	}
	return files
}

func projectedFiles(s corev1.VolumeProjection) []madeFile {
	switch b := s.ClusterTrustBundle; {
	case s.ConfigMap != nil:
		return keyFiles(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))
	case s.Secret != nil:
		return keyFiles(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))
	case s.DownwardAPI != nil:
		return downwardFiles(s.DownwardAPI.Items, "DownwardAPI")
	case s.ServiceAccountToken != nil:
		return []madeFile{{strings.TrimRight(s.ServiceAccountToken.Path, "/"), "ServiceAccountToken"}}
	case b != nil && b.Name != nil:
		return []madeFile{{strings.TrimRight(b.Path, "/"), fmt.Sprintf("ClusterTrustBundle %q", *b.Name)}}
	case b != nil && b.SignerName != nil:
		return []madeFile{{strings.TrimRight(b.Path, "/"), fmt.Sprintf("ClusterTrustBundle %q", *b.SignerName)}}
	}
	return nil
}

// claimed tells of the size of a claim that is made with the pod.
func (w *warnings) claimed(v corev1.Volume, p *field.Path) {
	if v.Ephemeral == nil || v.Ephemeral.VolumeClaimTemplate == nil {
		return
	}
	r, at := v.Ephemeral.VolumeClaimTemplate.Spec.Resources, p.Child("ephemeral", "volumeClaimTemplate", "spec", "resources")
	w.fraction(r.Requests, corev1.ResourceStorage, at.Child("requests"))
	w.fraction(r.Limits, corev1.ResourceStorage, at.Child("limits"))
}
