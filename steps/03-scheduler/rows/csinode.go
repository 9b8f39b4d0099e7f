package rows

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	base "github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// CSINodes is the row of what the storage drivers on each node say of it. There are no
// drivers before step 10; but upstream's kubelet makes its node's, without any, before it
// calls the node ready.
func CSINodes() resource.Resource {
	return resource.Resource{
		GroupVersionKind: storagev1.SchemeGroupVersion.WithKind("CSINode"),
		Name:             "csinodes",
		Singular:         "csinode",
		Prefix:           "csinodes",
		New:              typed.New[storagev1.CSINode],
		NewList:          typed.List[storagev1.CSINodeList],
		Strategy: resource.Strategy{
			VersionOnUpdate:  true,
			ReturnDeleted:    true,
			PrepareForCreate: typed.OnCreate(func(n *storagev1.CSINode) { n.Status = storagev1.CSINodeStatus{} }),
			PrepareForUpdate: typed.OnUpdate(func(n, old *storagev1.CSINode) { n.Status = old.Status }),
			Validate:         typed.One(validateCSINode),
			ValidateUpdate:   typed.Two(validateCSINodeUpdate),
		},
		NotOwned: [][]any{{"status"}}, // which is behind a feature gate of upstream's that is off
		Columns: []metav1.TableColumnDefinition{
			{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]},
			{Name: "Drivers", Type: "integer", Description: "Drivers indicates the number of CSI drivers registered on the node"},
			{Name: "Age", Type: "string", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]},
		},
		Cells: typed.One(func(n *storagev1.CSINode) []any {
			return []any{n.Name, int64(len(n.Spec.Drivers)), duration.HumanDuration(time.Since(n.CreationTimestamp.Time))}
		}),
	}
}

// As in upstream's pkg/apis/storage/validation.
const (
	maxDriverName = 63
	maxNodeID     = 256
)

func validateCSINode(n *storagev1.CSINode) field.ErrorList {
	errs := base.ClusterMeta(&n.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	seen := map[string]bool{}
	for i, d := range n.Spec.Drivers {
		at := field.NewPath("spec", "drivers").Index(i)
		errs = append(errs, validateDriver(d, at)...)
		if seen[d.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), d.Name))
		}
		seen[d.Name] = true
		errs = append(errs, validateTopology(d.TopologyKeys, at)...)
	}
	return errs
}

func validateDriver(d storagev1.CSINodeDriver, at *field.Path) (errs field.ErrorList) {
	if d.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	} else {
		if len(d.Name) > maxDriverName {
			errs = append(errs, field.TooLong(at.Child("name"), "", maxDriverName))
		}
		for _, why := range validation.IsDNS1123Subdomain(strings.ToLower(d.Name)) {
			errs = append(errs, field.Invalid(at.Child("name"), d.Name, why))
		}
	}
	switch {
	case d.NodeID == "":
		errs = append(errs, field.Required(at.Child("nodeID"), ""))
	case len(d.NodeID) > maxNodeID:
		errs = append(errs, field.Invalid(at.Child("nodeID"), d.NodeID, fmt.Sprintf("must be %d characters or less", maxNodeID)))
	}
	if a := d.Allocatable; a != nil && a.Count != nil {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*a.Count), at.Child("allocatable", "count"))...)
	}
	return errs
}

func validateTopology(keys []string, at *field.Path) (errs field.ErrorList) {
	seen := map[string]bool{}
	for _, key := range keys {
		if key == "" {
			errs = append(errs, field.Required(at, ""))
		}
		if seen[key] {
			errs = append(errs, field.Duplicate(at, key))
		}
		seen[key] = true
		for _, why := range validation.IsQualifiedName(key) {
			errs = append(errs, field.Invalid(at, key, why))
		}
	}
	return errs
}

// validateCSINodeUpdate: a driver comes and goes, and only how many volumes it can have changes.
func validateCSINodeUpdate(n, old *storagev1.CSINode) field.ErrorList {
	errs := validateCSINode(n)
	for _, was := range old.Spec.Drivers {
		for _, is := range n.Spec.Drivers {
			if was.Name == is.Name {
				was.Allocatable, is.Allocatable = nil, nil
				errs = append(errs, apivalidation.ValidateImmutableField(inner(is), inner(was), field.NewPath("spec", "drivers"))...)
			}
		}
	}
	return errs
}

// inner is a driver as upstream's errors show it.
type inner storagev1.CSINodeDriver

// MarshalJSON implements json.Marshaler.
func (d inner) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name, NodeID string
		TopologyKeys []string
		Allocatable  *storagev1.VolumeNodeResources
	}{d.Name, d.NodeID, d.TopologyKeys, d.Allocatable})
}
