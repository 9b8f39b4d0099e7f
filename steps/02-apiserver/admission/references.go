package admission

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// references lists the kinds of objects that a pod refers to, as resources, each
// as often as it does: what a node could read by way of such a pod.
func references(spec *corev1.PodSpec) (kinds []string) {
	add := func(there bool, kind string) {
		if there {
			kinds = append(kinds, kind)
		}
	}
	add(spec.ServiceAccountName != "", "serviceaccounts")
	add(slices.ContainsFunc(spec.ImagePullSecrets, func(r corev1.LocalObjectReference) bool { return r.Name != "" }), "secrets")
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range list {
			kinds = append(kinds, environment(c.Env, c.EnvFrom)...)
		}
	}
	for _, c := range spec.EphemeralContainers {
		kinds = append(kinds, environment(c.Env, c.EnvFrom)...)
	}
	for _, v := range spec.Volumes {
		add(v.Secret != nil || mountsBySecret(&v.VolumeSource), "secrets")
		add(v.ConfigMap != nil, "configmaps")
		add(v.PersistentVolumeClaim != nil || v.Ephemeral != nil, "persistentvolumeclaims")
		add(v.CSI != nil, "csidrivers")
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			add(s.Secret != nil, "secrets")
			add(s.ConfigMap != nil, "configmaps")
			add(s.ServiceAccountToken != nil, "serviceaccounts")
			add(s.ClusterTrustBundle != nil, "clustertrustbundles")
			add(s.PodCertificate != nil, "podcertificates")
		}
	}
	add(len(spec.ResourceClaims) > 0, "resourceclaims")
	return kinds
}

// mountsBySecret says whether it takes a secret to mount a volume.
func mountsBySecret(v *corev1.VolumeSource) bool {
	var ref *corev1.LocalObjectReference
	switch {
	case v.AzureFile != nil:
		return v.AzureFile.SecretName != ""
	case v.CephFS != nil:
		ref = v.CephFS.SecretRef
	case v.Cinder != nil:
		ref = v.Cinder.SecretRef
	case v.FlexVolume != nil:
		ref = v.FlexVolume.SecretRef
	case v.RBD != nil:
		ref = v.RBD.SecretRef
	case v.ScaleIO != nil:
		ref = v.ScaleIO.SecretRef
	case v.ISCSI != nil:
		ref = v.ISCSI.SecretRef
	case v.StorageOS != nil:
		ref = v.StorageOS.SecretRef
	case v.CSI != nil:
		ref = v.CSI.NodePublishSecretRef
	}
	return ref != nil && ref.Name != ""
}

func environment(env []corev1.EnvVar, from []corev1.EnvFromSource) (kinds []string) {
	for _, e := range env {
		switch {
		case e.ValueFrom == nil:
		case e.ValueFrom.SecretKeyRef != nil:
			kinds = append(kinds, "secrets")
		case e.ValueFrom.ConfigMapKeyRef != nil:
			kinds = append(kinds, "configmaps")
		}
	}
	for _, f := range from {
		if f.SecretRef != nil {
			kinds = append(kinds, "secrets")
		}
		if f.ConfigMapRef != nil {
			kinds = append(kinds, "configmaps")
		}
	}
	return kinds
}
