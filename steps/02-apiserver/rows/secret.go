package rows

import (
	"crypto/tls"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Secrets is the row of secrets. They are stored as they are: who reads the store
// reads the secrets.
func Secrets() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Secret"),
		Name:             "secrets",
		Singular:         "secret",
		Namespaced:       true,
		Prefix:           "secrets",
		New:              typed.New[corev1.Secret],
		NewList:          typed.List[corev1.SecretList],
		Strategy: resource.Strategy{
			Default:        typed.Change(defaulting.Secret),
			Validate:       typed.One(validation.Secret),
			ValidateUpdate: typed.Two(validation.SecretUpdate),
			Warnings:       typed.Two(secretWarnings),
		},
		Columns: printing.SecretColumns,
		Cells:   typed.One(printing.Secret),
		Fields:  typed.One(func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} }),
	}
}

// secretWarnings tells of a certificate and a key that are no pair.
func secretWarnings(s, _ *corev1.Secret) []string {
	if s.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}
