// Package rows is what this step adds to the API: the resources that a scheduler
// reads besides pods and nodes.
//
// Upstream's kube-scheduler lists volumes, their classes, claims to devices, and
// the owners of pods before it looks at the first pod, and waits until it could.
// Here they can be listed and watched, and there are none: later steps bring what
// makes them and what acts on them, and with that the rows that can be written.
// Until then a POST is refused (405), and not accepted and forgotten.
//
// Disruption budgets can be written already, since our scheduler heeds them, and what storage
// drivers say of nodes, since upstream's kubelet needs it.
package rows

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
)

// All returns the rows that this step adds.
func All() []resource.Resource {
	core, apps, storage, devices := corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion, storagev1.SchemeGroupVersion, resourcev1.SchemeGroupVersion
	return []resource.Resource{
		DisruptionBudgets(),

		everywhere(none[corev1.PersistentVolume, corev1.PersistentVolumeList](core, "PersistentVolume", "persistentvolumes", "pv")),
		none[corev1.PersistentVolumeClaim, corev1.PersistentVolumeClaimList](core, "PersistentVolumeClaim", "persistentvolumeclaims", "pvc"),
		selectable(controllerFields, ofAll(keptAt("controllers", none[corev1.ReplicationController, corev1.ReplicationControllerList](core, "ReplicationController", "replicationcontrollers", "rc")))),
		ofAll(none[appsv1.ReplicaSet, appsv1.ReplicaSetList](apps, "ReplicaSet", "replicasets", "rs")),
		ofAll(none[appsv1.StatefulSet, appsv1.StatefulSetList](apps, "StatefulSet", "statefulsets", "sts")),

		everywhere(none[storagev1.StorageClass, storagev1.StorageClassList](storage, "StorageClass", "storageclasses", "sc")),
		CSINodes(),
		everywhere(none[storagev1.CSIDriver, storagev1.CSIDriverList](storage, "CSIDriver", "csidrivers")),
		none[storagev1.CSIStorageCapacity, storagev1.CSIStorageCapacityList](storage, "CSIStorageCapacity", "csistoragecapacities"),
		everywhere(none[storagev1.VolumeAttachment, storagev1.VolumeAttachmentList](storage, "VolumeAttachment", "volumeattachments")),

		none[resourcev1.ResourceClaim, resourcev1.ResourceClaimList](devices, "ResourceClaim", "resourceclaims"),
		everywhere(none[resourcev1.DeviceClass, resourcev1.DeviceClassList](devices, "DeviceClass", "deviceclasses")),
		selectable(sliceFields, everywhere(none[resourcev1.ResourceSlice, resourcev1.ResourceSliceList](devices, "ResourceSlice", "resourceslices"))),
		everywhere(none[resourcev1.DeviceTaintRule, resourcev1.DeviceTaintRuleList](devices, "DeviceTaintRule", "devicetaintrules")),
	}
}

// AddToScheme adds the Go types of the rows.
func AddToScheme(s *runtime.Scheme) error {
	all := runtime.NewSchemeBuilder(appsv1.AddToScheme, policyv1.AddToScheme, storagev1.AddToScheme, resourcev1.AddToScheme)
	return all.AddToScheme(s)
}

// none is the row of a kind, by namespaces, that can be read but not written.
func none[T, L any, P interface {
	*T
	resource.Object
}, Q interface {
	*L
	runtime.Object
}](gv schema.GroupVersion, kind, name string, short ...string) resource.Resource {
	return resource.Resource{
		GroupVersionKind: gv.WithKind(kind),
		Name:             name,
		Singular:         strings.ToLower(kind),
		ShortNames:       short,
		Namespaced:       true,
		Prefix:           name,
		New:              typed.New[T, P],
		NewList:          typed.List[L, Q],
		Without:          []string{"create", "update", "patch", "delete", "deletecollection"},
		Strategy: resource.Strategy{
			Validate:       func(resource.Object) field.ErrorList { return nil },
			ValidateUpdate: func(_, _ resource.Object) field.ErrorList { return nil },
		},
	}
}

// everywhere makes a row one of the whole cluster.
func everywhere(r resource.Resource) resource.Resource {
	r.Namespaced = false
	return r
}

// ofAll makes a row one of those of `kubectl get all`.
func ofAll(r resource.Resource) resource.Resource {
	r.Categories = []string{"all"}
	return r
}

// selectable gives a row fields that lists can be selected by.
func selectable[T any, P interface {
	*T
	resource.Object
}](by func(P) fields.Set, r resource.Resource) resource.Resource {
	r.Fields = typed.One(by)
	return r
}

func sliceFields(s *resourcev1.ResourceSlice) fields.Set {
	return fields.Set{
		resourcev1.ResourceSliceSelectorNodeName: ptr.Deref(s.Spec.NodeName, ""),
		resourcev1.ResourceSliceSelectorDriver:   s.Spec.Driver,
		resourcev1.ResourceSliceSelectorPoolName: s.Spec.Pool.Name,
	}
}

func controllerFields(c *corev1.ReplicationController) fields.Set {
	return fields.Set{"status.replicas": fmt.Sprint(c.Status.Replicas)}
}

// keptAt gives a row another place in the store than its name.
func keptAt(prefix string, r resource.Resource) resource.Resource {
	r.Prefix = prefix
	return r
}
