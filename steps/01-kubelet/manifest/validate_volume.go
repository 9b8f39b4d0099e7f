package manifest

import (
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumes checks the pod's volumes and returns the good ones, which containers
// may mount.
func (f *findings) volumes(volumes []corev1.Volume, p *field.Path) map[string]corev1.Volume {
	good := map[string]corev1.Volume{}
	for i, v := range volumes {
		at := p.Index(i)
		before := len(f.list)
		f.volumeSource(v, at)
		if v.Name == "" {
			f.required(at.Child("name"), "")
		} else {
			f.label(at.Child("name"), v.Name)
		}
		if _, taken := good[v.Name]; taken {
			f.duplicate(at.Child("name"), v.Name)
		}
		if len(f.list) == before {
			good[v.Name] = v
		}
	}
	return good
}

func (f *findings) volumeSource(v corev1.Volume, p *field.Path) {
	kinds := kindsOf(v.VolumeSource)
	if len(kinds) == 0 {
		f.required(p, "must specify a volume type")
		return
	}
	for _, extra := range kinds[1:] {
		f.forbidden(p.Child(extra), "may not specify more than 1 volume type")
	}
	at := p.Child(kinds[0])
	switch kinds[0] {
	case "emptyDir":
		if limit := v.EmptyDir.SizeLimit; limit != nil && limit.Cmp(resource.Quantity{}) < 0 {
			f.forbidden(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")
		}
	case "hostPath":
		f.hostPath(v.HostPath, at)
	case "secret":
		if v.Secret.SecretName == "" {
			f.required(at.Child("secretName"), "")
		}
		f.mode(at.Child("defaultMode"), v.Secret.DefaultMode)
		f.keys(v.Secret.Items, at.Child("items"))
	case "configMap":
		if v.ConfigMap.Name == "" {
			f.required(at.Child("name"), "")
		}
		f.mode(at.Child("defaultMode"), v.ConfigMap.DefaultMode)
		f.keys(v.ConfigMap.Items, at.Child("items"))
	case "downwardAPI":
		f.mode(at.Child("defaultMode"), v.DownwardAPI.DefaultMode)
		for i := range v.DownwardAPI.Items {
			f.downwardFile(&v.DownwardAPI.Items[i], at)
		}
	case "projected":
		f.projected(v.Projected, at)
	case "image":
		if v.Image.Reference == "" {
			f.required(at.Child("reference"), "")
		}
		oneOf(f, at.Child("pullPolicy"), v.Image.PullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	case "persistentVolumeClaim":
		if v.PersistentVolumeClaim.ClaimName == "" {
			f.required(at.Child("claimName"), "")
		}
	}
}

// kindsOf returns the names of the fields that are set, of which there should be
// one: emptyDir and hostPath first, and then in alphabetical order.
func kindsOf(source corev1.VolumeSource) []string {
	var kinds []string
	v := reflect.ValueOf(source)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			kinds = append(kinds, name)
		}
	}
	first := func(name string) int { return slices.Index([]string{"hostPath", "emptyDir"}, name) }
	slices.SortStableFunc(kinds, func(a, b string) int { return first(b) - first(a) })
	return kinds
}

func (f *findings) hostPath(h *corev1.HostPathVolumeSource, p *field.Path) {
	if h.Path == "" {
		f.required(p.Child("path"), "")
		return
	}
	f.noBacksteps(h.Path, p.Child("path"))
	optional(f, p.Child("type"), h.Type, corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
		corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)
}

func (f *findings) noBacksteps(target string, p *field.Path) {
	if slices.Contains(strings.Split(target, "/"), "..") {
		f.invalid(p, target, "must not contain '..'")
	}
}

// below wants a relative path that stays where it begins.
func (f *findings) below(target string, p *field.Path) {
	if path.IsAbs(target) {
		f.invalid(p, target, "must be a relative path")
	}
	f.noBacksteps(target, p)
}

// localPath is below, and nothing that begins like the names the kubelet keeps
// for itself in a volume.
func (f *findings) localPath(target string, p *field.Path) {
	f.below(target, p)
	if strings.HasPrefix(target, "..") && !strings.HasPrefix(target, "../") {
		f.invalid(p, target, "must not start with '..'")
	}
}

func (f *findings) keys(items []corev1.KeyToPath, p *field.Path) {
	for i, item := range items {
		at := p.Index(i)
		if item.Key == "" {
			f.required(at.Child("key"), "")
		}
		if item.Path == "" {
			f.required(at.Child("path"), "")
		}
		f.localPath(item.Path, at.Child("path"))
		f.mode(at.Child("mode"), item.Mode)
	}
}

func (f *findings) downwardFile(file *corev1.DownwardAPIVolumeFile, p *field.Path) {
	if file.Path == "" {
		f.required(p.Child("path"), "")
	}
	f.localPath(file.Path, p.Child("path"))
	switch {
	case file.FieldRef != nil:
		f.fieldRef(file.FieldRef, fileFields, p.Child("fieldRef"))
		if file.ResourceFieldRef != nil {
			f.invalid(p, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
		}
	case file.ResourceFieldRef != nil:
		f.resourceFieldRef(file.ResourceFieldRef, true, p.Child("resourceFieldRef"))
	default:
		f.required(p, "one of fieldRef and resourceFieldRef is required")
	}
	f.mode(p.Child("mode"), file.Mode)
}

func (f *findings) projected(v *corev1.ProjectedVolumeSource, p *field.Path) {
	f.mode(p.Child("defaultMode"), v.DefaultMode)
	paths := sets.New[string]()
	unique := func(target string, value string) {
		if target != "" && paths.Has(target) {
			f.invalid(p, value, "conflicting duplicate paths")
		}
		paths.Insert(target)
	}
	for i, s := range v.Sources {
		at, n := p.Child("sources").Index(i), 0
		items := func(name string, list []corev1.KeyToPath, at *field.Path) {
			n++
			if name == "" {
				f.required(at.Child("name"), "")
			}
			f.keys(list, at.Child("items"))
			for _, item := range list {
				unique(item.Path, name)
			}
		}
		if s.Secret != nil {
			items(s.Secret.Name, s.Secret.Items, at.Child("secret"))
		}
		if s.ConfigMap != nil {
			items(s.ConfigMap.Name, s.ConfigMap.Items, at.Child("configMap"))
		}
		if s.DownwardAPI != nil {
			n++
			for j := range s.DownwardAPI.Items {
				f.downwardFile(&s.DownwardAPI.Items[j], at.Child("downwardAPI"))
				unique(s.DownwardAPI.Items[j].Path, s.DownwardAPI.Items[j].Path)
			}
		}
		if s.ServiceAccountToken != nil {
			n++
			f.token(s.ServiceAccountToken, at.Child("serviceAccountToken"), p)
		}
		if n > 1 {
			f.forbidden(at, "may not specify more than 1 volume type per source")
		}
	}
}

func (f *findings) token(t *corev1.ServiceAccountTokenProjection, p, volume *field.Path) {
	switch seconds := t.ExpirationSeconds; {
	case seconds == nil:
		f.required(p.Child("expirationSeconds"), "")
	case *seconds < 10*60:
		f.invalid(p.Child("expirationSeconds"), *seconds, "may not specify a duration less than 10 minutes")
	case *seconds > 1<<32:
		f.invalid(p.Child("expirationSeconds"), *seconds, "may not specify a duration larger than 2^32 seconds")
	}
	if t.Path == "" {
		f.required(volume.Child("path"), "")
	} else {
		f.localPath(t.Path, volume.Child("path"))
	}
}

func (f *findings) mounts(c *corev1.Container, volumes map[string]corev1.Volume, p *field.Path) {
	points := sets.New[string]()
	for i, m := range c.VolumeMounts {
		at := p.Index(i)
		if m.Name == "" {
			f.required(at.Child("name"), "")
		}
		if _, ok := volumes[m.Name]; !ok {
			f.list = append(f.list, field.NotFound(at.Child("name"), m.Name))
		}
		if m.MountPath == "" {
			f.required(at.Child("mountPath"), "")
		}
		if points.Has(m.MountPath) {
			f.invalid(at.Child("mountPath"), m.MountPath, "must be unique")
		}
		points.Insert(m.MountPath)
		if m.SubPath != "" {
			f.below(m.SubPath, p.Child("subPath"))
		}
		if m.SubPathExpr != "" {
			if m.SubPath != "" {
				f.invalid(at.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
			}
			f.below(m.SubPathExpr, p.Child("subPathExpr"))
		}
		f.propagation(c, m, p)
	}
}

func (f *findings) propagation(c *corev1.Container, m corev1.VolumeMount, p *field.Path) {
	optional(f, p.Child("mountPropagation"), m.MountPropagation,
		corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	shared := m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone
	privileged := c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
	if shared && *m.MountPropagation == corev1.MountPropagationBidirectional && !privileged {
		f.forbidden(p.Child("mountPropagation"), "Bidirectional mount propagation is available only to privileged containers")
	}
	if m.RecursiveReadOnly == nil || *m.RecursiveReadOnly == corev1.RecursiveReadOnlyDisabled {
		return
	}
	at := p.Child("recursiveReadOnly")
	before := len(f.list)
	someOf(f, at, *m.RecursiveReadOnly, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	if len(f.list) > before {
		return
	}
	if !m.ReadOnly {
		f.forbidden(at, "may only be specified when readOnly is true")
	}
	if shared {
		f.forbidden(at, "may only be specified when mountPropagation is None or not specified")
	}
}
