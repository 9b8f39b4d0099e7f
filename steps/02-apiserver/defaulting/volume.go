package defaulting

import corev1 "k8s.io/api/core/v1"

// volume completes the kinds of volumes that no node of this course serves: what
// is stored should be what upstream would store.
func volume(v *corev1.VolumeSource) {
	if v.ISCSI != nil {
		set(&v.ISCSI.ISCSIInterface, "default")
	}
	if r := v.RBD; r != nil {
		set(&r.RBDPool, "rbd")
		set(&r.RadosUser, "admin")
		set(&r.Keyring, "/etc/ceph/keyring")
	}
	if s := v.ScaleIO; s != nil {
		set(&s.StorageMode, "ThinProvisioned")
		set(&s.FSType, "xfs")
	}
	if d := v.AzureDisk; d != nil {
		setPointer(&d.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		setPointer(&d.FSType, "ext4")
		setPointer(&d.ReadOnly, false)
		setPointer(&d.Kind, corev1.AzureSharedBlobDisk)
	}
	if e := v.Ephemeral; e != nil && e.VolumeClaimTemplate != nil {
		spec := &e.VolumeClaimTemplate.Spec
		setPointer(&spec.VolumeMode, corev1.PersistentVolumeFilesystem)
		roundUp(spec.Resources.Limits, spec.Resources.Requests)
	}
}
