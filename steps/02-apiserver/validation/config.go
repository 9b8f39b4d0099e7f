package validation

import (
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ConfigMap checks the keys and the size of a config map.
func ConfigMap(c *corev1.ConfigMap) field.ErrorList {
	f := &findings{}
	f.configMap(c)
	return f.list
}

func (f *findings) configMap(c *corev1.ConfigMap) {
	f.meta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(c.Data)) {
		at := field.NewPath("data").Key(key)
		f.invalid(at, key, validation.IsConfigMapKey(key)...)
		if _, twice := c.BinaryData[key]; twice {
			f.invalid(at, key, "duplicate of key present in binaryData")
		}
		size += len(c.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(c.BinaryData)) {
		f.invalid(field.NewPath("binaryData").Key(key), key, validation.IsConfigMapKey(key)...)
		size += len(c.BinaryData[key])
	}
	if size > corev1.MaxSecretSize {
		f.list = append(f.list, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
}

// ConfigMapUpdate also holds a map that called itself immutable to its word.
func ConfigMapUpdate(c, old *corev1.ConfigMap) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if isTrue(old.Immutable) {
		f.frozen("immutable", isTrue(c.Immutable))
		f.frozen("data", equality.Semantic.DeepEqual(c.Data, old.Data))
		f.frozen("binaryData", equality.Semantic.DeepEqual(c.BinaryData, old.BinaryData))
	}
	f.configMap(c)
	return f.list
}

func isTrue(b *bool) bool { return b != nil && *b }

// frozen wants what an object called immutable to be the same.
func (f *findings) frozen(name string, same bool) {
	if !same {
		f.forbidden(field.NewPath(name), "field is immutable when `immutable` is set")
	}
}

// Secret checks the keys and the size of a secret, and that what its type
// promises is there.
func Secret(s *corev1.Secret) field.ErrorList {
	f := &findings{}
	f.secret(s)
	return f.list
}

func (f *findings) secret(s *corev1.Secret) {
	f.meta(&s.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	data, size := field.NewPath("data"), 0
	for _, key := range slices.Sorted(maps.Keys(s.Data)) {
		f.invalid(data.Key(key), key, validation.IsConfigMapKey(key)...)
		size += len(s.Data[key])
	}
	if size > corev1.MaxSecretSize {
		f.list = append(f.list, field.TooLong(data, "", corev1.MaxSecretSize))
	}
	f.secretType(s, data)
}

func (f *findings) secretType(s *corev1.Secret, data *field.Path) {
	has := func(key string) bool { _, ok := s.Data[key]; return ok }
	want := func(key string) {
		if !has(key) {
			f.required(data.Key(key), "")
		}
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			f.required(metadata.Child("annotations").Key(corev1.ServiceAccountNameKey), "")
		}
	case corev1.SecretTypeDockercfg:
		want(corev1.DockerConfigKey)
		f.secretJSON(s, data, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		want(corev1.DockerConfigJsonKey)
		f.secretJSON(s, data, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeBasicAuth: // either will do
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			want(corev1.BasicAuthUsernameKey)
			want(corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		if len(s.Data[corev1.SSHAuthPrivateKey]) == 0 {
			f.required(data.Key(corev1.SSHAuthPrivateKey), "")
		}
	case corev1.SecretTypeTLS:
		want(corev1.TLSCertKey)
		want(corev1.TLSPrivateKeyKey)
	}
}

func (f *findings) secretJSON(s *corev1.Secret, data *field.Path, key string) {
	value, ok := s.Data[key]
	if !ok {
		return
	}
	if err := json.Unmarshal(value, &map[string]any{}); err != nil {
		f.invalid(data.Key(key), "<secret contents redacted>", err.Error())
	}
}

// SecretUpdate also holds a secret to its type, and to its word if it called itself immutable.
func SecretUpdate(s, old *corev1.Secret) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&s.ObjectMeta, &old.ObjectMeta)
	f.same(field.NewPath("type"), s.Type, old.Type)
	if isTrue(old.Immutable) {
		f.frozen("immutable", isTrue(s.Immutable))
		f.frozen("data", equality.Semantic.DeepEqual(s.Data, old.Data))
	}
	f.secret(s)
	return f.list
}

// ServiceAccount checks a service account.
func ServiceAccount(a *corev1.ServiceAccount) field.ErrorList {
	f := &findings{}
	f.meta(&a.ObjectMeta, apivalidation.ValidateServiceAccountName)
	return f.list
}

// ServiceAccountUpdate checks a change of a service account.
func ServiceAccountUpdate(a, old *corev1.ServiceAccount) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&a.ObjectMeta, &old.ObjectMeta)
	f.meta(&a.ObjectMeta, apivalidation.ValidateServiceAccountName)
	return f.list
}
