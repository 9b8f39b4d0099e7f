package pullsecret

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func secret(kind corev1.SecretType, text string) *corev1.Secret {
	key := map[corev1.SecretType]string{corev1.SecretTypeDockerConfigJson: ".dockerconfigjson", corev1.SecretTypeDockercfg: ".dockercfg"}[kind]
	return &corev1.Secret{Type: kind, Data: map[string][]byte{key: []byte(text)}}
}

func users(auths []*runtimeapi.AuthConfig) string {
	var all []string
	for _, a := range auths {
		all = append(all, a.Username+":"+a.Password+a.IdentityToken+a.RegistryToken)
	}
	return strings.Join(all, " ")
}

func TestParse(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("bob:secret:with-colon"))
	for _, tt := range []struct {
		name string
		kind corev1.SecretType
		text string
		want string // host path credentials
		err  string
	}{
		{"auth", corev1.SecretTypeDockerConfigJson, `{"auths":{"registry.example.com":{"auth":"` + auth + `"}}}`, "registry.example.com / bob:secret:with-colon", ""},
		{"user and password", corev1.SecretTypeDockerConfigJson, `{"auths":{"registry.example.com:5000/team":{"username":"a","password":"b"}}}`, "registry.example.com:5000 /team a:b", ""},
		{"Docker's own", corev1.SecretTypeDockerConfigJson, `{"auths":{"https://index.docker.io/v1/":{"username":"a","password":"b"}}}`, "index.docker.io / a:b", ""},
		{"token", corev1.SecretTypeDockerConfigJson, `{"auths":{"r.io":{"registrytoken":"t"}}}`, "r.io / :t", ""},
		{"the old format", corev1.SecretTypeDockercfg, `{"r.io":{"username":"a","password":"b"}}`, "r.io / a:b", ""},
		{"no JSON", corev1.SecretTypeDockerConfigJson, `x`, "", ".dockerconfigjson: invalid character"},
		{"no base64", corev1.SecretTypeDockerConfigJson, `{"auths":{"r.io":{"auth":"%"}}}`, "", "auths of r.io: auth is not user:password"},
		{"another type", corev1.SecretTypeOpaque, `{}`, "", `type "Opaque": want kubernetes.io/dockerconfigjson`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries, err := Parse(secret(tt.kind, tt.text))
			got := ""
			for _, e := range entries {
				got += e.Host + " " + e.Path + " " + users([]*runtimeapi.AuthConfig{e.Auth})
			}
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("got %q, %v, want %q, %s", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	entry := func(registry string) Entry {
		host, rest := split(registry)
		return Entry{host, rest, &runtimeapi.AuthConfig{Username: registry}}
	}
	var entries []Entry
	for _, r := range []string{"registry.example.com", "registry.example.com/team", "*.example.com", "registry.example.com:5000", "https://index.docker.io/v1/"} {
		entries = append(entries, entry(r))
	}
	for _, tt := range []struct{ image, want string }{
		{"registry.example.com/other/web:v1", "registry.example.com *.example.com"},
		{"registry.example.com/team/web", "registry.example.com/team registry.example.com *.example.com"},
		{"registry.example.com:5000/web", "registry.example.com:5000"},
		{"a.example.com/web", "*.example.com"},
		{"a.b.example.com/web", ""},
		{"busybox:1.36", "https://index.docker.io/v1/"},
		{"library/busybox", "https://index.docker.io/v1/"},
		{"docker.io/library/busybox", "https://index.docker.io/v1/"},
		{"localhost/web", ""},
	} {
		var got []string
		for _, a := range Match(entries, tt.image) {
			got = append(got, a.Username)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %v, want %s", tt.image, got, tt.want)
		}
	}
}

type secrets map[string]*corev1.Secret

func (s secrets) Secret(_, name string) (*corev1.Secret, error) {
	if name == "broken" {
		return nil, errors.New("boom")
	}
	return s[name], nil
}

func TestASecretThatIsMissingDoesNotHideTheOthers(t *testing.T) {
	f := Finder{secrets{"good": secret(corev1.SecretTypeDockerConfigJson, `{"auths":{"r.io":{"username":"a","password":"b"}}}`)}, slog.New(slog.DiscardHandler)}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
	for _, name := range []string{"none", "broken", "good"} {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	if got := users(f.Find(pod, "r.io/web")); got != "a:b" {
		t.Errorf("got %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"}}}`), "busybox")
	f.Fuzz(func(_ *testing.T, data []byte, image string) {
		entries, _ := Parse(secret(corev1.SecretTypeDockerConfigJson, string(data)))
		Match(entries, image)
	})
}
