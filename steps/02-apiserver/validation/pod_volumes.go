package validation

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumes checks the kinds of volumes that the kubelet of this course does not
// know: above all, that they say what they can't do without.
func (f *findings) volumes(volumes []corev1.Volume, p *field.Path) {
	for i := range volumes {
		at := p.Index(i)
		for _, need := range needs(&volumes[i].VolumeSource) {
			if need.value == "" {
				f.required(at.Child(need.kind, need.field), "")
			}
		}
		f.volume(&volumes[i].VolumeSource, at)
	}
}

type need struct{ kind, field, value string }

// needs are the fields that a volume must have, which are texts.
func needs(v *corev1.VolumeSource) (all []need) {
	add := func(kind string, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, need{kind, pairs[i], pairs[i+1]})
		}
	}
	switch {
	case v.GitRepo != nil:
		add("gitRepo", "repository", v.GitRepo.Repository)
	case v.GCEPersistentDisk != nil:
		add("persistentDisk", "pdName", v.GCEPersistentDisk.PDName)
	case v.AWSElasticBlockStore != nil:
		add("awsElasticBlockStore", "volumeID", v.AWSElasticBlockStore.VolumeID)
	case v.NFS != nil:
		add("nfs", "server", v.NFS.Server, "path", v.NFS.Path)
	case v.ISCSI != nil:
		add("iscsi", "targetPortal", v.ISCSI.TargetPortal, "iqn", v.ISCSI.IQN)
	case v.Glusterfs != nil:
		add("glusterfs", "endpoints", v.Glusterfs.EndpointsName, "path", v.Glusterfs.Path)
	case v.RBD != nil:
		add("rbd", "monitors", strings.Join(v.RBD.CephMonitors, ","), "image", v.RBD.RBDImage)
	case v.FlexVolume != nil:
		add("flexVolume", "driver", v.FlexVolume.Driver)
	case v.Cinder != nil:
		add("cinder", "volumeID", v.Cinder.VolumeID)
	case v.CephFS != nil:
		add("cephfs", "monitors", strings.Join(v.CephFS.Monitors, ","))
	case v.AzureFile != nil:
		add("azureFile", "secretName", v.AzureFile.SecretName, "shareName", v.AzureFile.ShareName)
	case v.AzureDisk != nil:
		add("azureDisk", "diskName", v.AzureDisk.DiskName, "diskURI", v.AzureDisk.DataDiskURI)
	case v.VsphereVolume != nil:
		add("vsphereVolume", "volumePath", v.VsphereVolume.VolumePath)
	case v.Quobyte != nil:
		add("quobyte", "volume", v.Quobyte.Volume)
	case v.PhotonPersistentDisk != nil:
		add("photonPersistentDisk", "pdID", v.PhotonPersistentDisk.PdID)
	case v.PortworxVolume != nil:
		add("portworxVolume", "volumeID", v.PortworxVolume.VolumeID)
	case v.ScaleIO != nil:
		add("scaleIO", "gateway", v.ScaleIO.Gateway, "system", v.ScaleIO.System, "volumeName", v.ScaleIO.VolumeName)
	case v.StorageOS != nil:
		add("storageos", "volumeName", v.StorageOS.VolumeName)
	case v.CSI != nil:
		add("csi", "driver", v.CSI.Driver)
	}
	return all
}

// volume checks what is more than a text that must be there.
func (f *findings) volume(v *corev1.VolumeSource, p *field.Path) {
	switch {
	case v.NFS != nil && !path.IsAbs(v.NFS.Path):
		f.invalid(p.Child("nfs", "path"), v.NFS.Path, "must be an absolute path")
	case v.ISCSI != nil:
		f.iscsi(v.ISCSI, p.Child("iscsi"))
	case v.Flocker != nil && v.Flocker.DatasetName == "" && v.Flocker.DatasetUUID == "":
		f.required(p.Child("flocker"), "one of datasetName and datasetUUID is required")
	case v.FC != nil && len(v.FC.TargetWWNs) == 0 && len(v.FC.WWIDs) == 0:
		f.required(p.Child("fc", "targetWWNs"), "must specify either targetWWNs or wwids, but not both")
	case v.Quobyte != nil && v.Quobyte.Registry == "":
		f.required(p.Child("quobyte", "registry"), "must be a host:port pair or multiple pairs separated by commas")
	case v.CSI != nil && v.CSI.Driver != "":
		if at := p.Child("csi", "driver"); len(v.CSI.Driver) > maxDriverName {
			f.list = append(f.list, field.TooLong(at, v.CSI.Driver, maxDriverName))
		}
		f.invalid(p.Child("csi", "driver"), v.CSI.Driver, validation.IsDNS1123Subdomain(strings.ToLower(v.CSI.Driver))...)
	case v.Projected != nil:
		f.trustBundles(v.Projected.Sources, p.Child("projected", "sources"))
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate == nil:
		f.required(p.Child("ephemeral", "volumeClaimTemplate"), "")
	case v.Ephemeral != nil:
		f.claimSpec(&v.Ephemeral.VolumeClaimTemplate.Spec, p.Child("ephemeral", "volumeClaimTemplate", "spec"))
	}
}

func (f *findings) trustBundles(sources []corev1.VolumeProjection, p *field.Path) {
	for i, s := range sources {
		if b := s.ClusterTrustBundle; b != nil && b.Name == nil && b.SignerName == nil {
			f.required(p.Index(i).Child("clusterTrustBundle"), "either name or signerName must be specified")
		} else if b != nil && b.Name != nil && b.SignerName != nil {
			f.invalid(p.Index(i).Child("clusterTrustBundle"), b, "only one of name and signerName may be used")
		}
		if b := s.ClusterTrustBundle; b != nil && b.Path == "" {
			f.required(p.Index(i).Child("clusterTrustBundle", "path"), "")
		}
	}
}

const (
	maxDriverName = 63
	maxLUN        = 255
)

// claimNames checks what the claims will be called that are made with the pod.
func (f *findings) claimNames(pod *corev1.Pod, p *field.Path) {
	for i, v := range pod.Spec.Volumes {
		if v.Ephemeral == nil || v.Name == "" || pod.Name == "" {
			continue
		}
		claim := pod.Name + "-" + v.Name
		for _, why := range validation.IsDNS1123Subdomain(claim) {
			f.invalid(p.Index(i).Child("name"), v.Name, fmt.Sprintf("PVC name %q: %s", claim, why))
		}
	}
}

func (f *findings) iscsi(v *corev1.ISCSIVolumeSource, p *field.Path) {
	known := func(prefix string) bool { return strings.HasPrefix(v.IQN, prefix) }
	if v.IQN != "" && !slices.ContainsFunc([]string{"iqn", "eui", "naa"}, known) {
		f.invalid(p.Child("iqn"), v.IQN, "must be valid format starting with iqn, eui, or naa")
	}
	if v.Lun < 0 || v.Lun > maxLUN {
		f.invalid(p.Child("lun"), v.Lun, validation.InclusiveRangeError(0, maxLUN))
	}
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		f.required(p.Child("secretRef"), "")
	}
}

func (f *findings) claimSpec(s *corev1.PersistentVolumeClaimSpec, p *field.Path) {
	if len(s.AccessModes) == 0 {
		f.required(p.Child("accessModes"), "at least 1 access mode is required")
	}
	for _, mode := range s.AccessModes {
		someOf(f, p.Child("accessModes"), mode, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)
	}
	size, ok := s.Resources.Requests[corev1.ResourceStorage]
	switch at := p.Child("resources").Key(string(corev1.ResourceStorage)); {
	case !ok:
		f.required(at, "")
	case size.Sign() <= 0:
		f.invalid(at, size.String(), "must be greater than zero")
	}
}

// devices checks volumes that a container has as block devices.
func (f *findings) devices(c *corev1.Container, volumes []corev1.Volume, p *field.Path) {
	names, paths := sets.New[string](), sets.New[string]()
	for i, d := range c.VolumeDevices {
		at := p.Index(i)
		f.device(d, volumes, names, paths, at)
		for _, m := range c.VolumeMounts {
			if m.Name == d.Name {
				f.invalid(at.Child("name"), d.Name, "must not already exist in volumeMounts")
			}
			if m.MountPath == d.DevicePath {
				f.invalid(at.Child("devicePath"), d.DevicePath, "must not already exist as a path in volumeMounts")
			}
		}
	}
}

func (f *findings) device(d corev1.VolumeDevice, volumes []corev1.Volume, names, paths sets.Set[string], p *field.Path) {
	if d.Name == "" {
		f.required(p.Child("name"), "")
	}
	if names.Has(d.Name) {
		f.invalid(p.Child("name"), d.Name, "must be unique")
	}
	names.Insert(d.Name)
	switch at := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == d.Name }); {
	case at < 0:
		f.list = append(f.list, field.NotFound(p.Child("name"), d.Name))
	case volumes[at].PersistentVolumeClaim == nil && volumes[at].Ephemeral == nil:
		f.invalid(p.Child("name"), d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
	}
	switch at := p.Child("devicePath"); {
	case d.DevicePath == "":
		f.required(at, "")
	case slices.Contains(strings.Split(d.DevicePath, "/"), ".."):
		f.invalid(at, d.DevicePath, "can not contain backsteps ('..')")
	case paths.Has(d.DevicePath):
		f.invalid(at, d.DevicePath, "must be unique")
	}
	paths.Insert(d.DevicePath)
}

// fileKeys checks variables that are read from a file of a volume.
func (f *findings) fileKeys(env []corev1.EnvVar, volumes []corev1.Volume, p *field.Path) {
	for i, v := range env {
		if v.ValueFrom == nil || v.ValueFrom.FileKeyRef == nil {
			continue
		}
		ref, at := v.ValueFrom.FileKeyRef, p.Index(i).Child("valueFrom", "fileKeyRef")
		if ref.Key == "" {
			f.required(at.Child("key"), "")
		} else {
			f.invalid(at.Child("key"), ref.Key, validation.IsRelaxedEnvVarName(ref.Key)...)
		}
		f.fileOf(ref, volumes, at)
	}
}

func (f *findings) fileOf(ref *corev1.FileKeySelector, volumes []corev1.Volume, p *field.Path) {
	if ref.Path == "" {
		f.required(p.Child("path"), "")
	} else if slices.Contains(strings.Split(ref.Path, "/"), "..") {
		f.invalid(p.Child("path"), ref.Path, "must not contain '..'")
	}
	if ref.VolumeName == "" {
		f.required(p.Child("volumeName"), "")
	} else {
		f.label(p.Child("volumeName"), ref.VolumeName)
	}
	switch at := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == ref.VolumeName }); {
	case at < 0:
		f.list = append(f.list, field.NotFound(p.Child("volumeName"), ref.VolumeName))
	case volumes[at].EmptyDir == nil:
		f.invalid(p.Child("volumeName"), ref.VolumeName, "referenced volume must be of type emptyDir")
	}
}
