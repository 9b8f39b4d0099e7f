package rows

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// ServiceAccounts is the row of service accounts. Their tokens are made by the
// subresource that the server appends, for it needs the key.
func ServiceAccounts() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
		Name:             "serviceaccounts",
		Singular:         "serviceaccount",
		ShortNames:       []string{"sa"},
		Namespaced:       true,
		Prefix:           "serviceaccounts",
		New:              typed.New[corev1.ServiceAccount],
		NewList:          typed.List[corev1.ServiceAccountList],
		Strategy: resource.Strategy{
			ReturnDeleted:    true,
			PrepareForCreate: typed.OnCreate(namesOnly),
			PrepareForUpdate: typed.OnUpdate(func(a, _ *corev1.ServiceAccount) { namesOnly(a) }),
			Validate:         typed.One(validation.ServiceAccount),
			ValidateUpdate:   typed.Two(validation.ServiceAccountUpdate),
			Warnings:         typed.Two(accountWarnings),
		},
		Columns: printing.ServiceAccountColumns,
		Cells:   typed.One(printing.ServiceAccount),
	}
}

// namesOnly keeps of the references to secrets what they can mean.
func namesOnly(a *corev1.ServiceAccount) {
	for i, s := range a.Secrets {
		a.Secrets[i] = corev1.ObjectReference{Name: s.Name}
	}
}

const enforceMountable = "kubernetes.io/enforce-mountable-secrets"

func accountWarnings(a, old *corev1.ServiceAccount) []string {
	_, has := a.Annotations[enforceMountable]
	if old != nil {
		if _, had := old.Annotations[enforceMountable]; had {
			return nil
		}
	}
	if !has {
		return nil
	}
	return []string{"metadata.annotations[" + enforceMountable + "]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"}
}
