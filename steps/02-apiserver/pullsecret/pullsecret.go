// Package pullsecret finds the credentials with which a pod's images are pulled.
//
// They are in secrets that the pod names, in the form of Docker's configuration
// file: registries, or parts of them, each with a user and a password. Which ones
// fit an image is decided by its name, as upstream's does it: host by host with
// wildcards, the path by its beginning, the most exact first.
//
// Upstream: pkg/credentialprovider/keyring.go and config.go.
package pullsecret

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Secrets gets secrets. *apiobject.Cache does.
type Secrets interface {
	// Secret returns nil and no error when there is no such object.
	Secret(namespace, name string) (*corev1.Secret, error)
}

// A Finder finds credentials. Auth of imagepull.Puller is its Find.
type Finder struct {
	Secrets Secrets
	Log     *slog.Logger
}

// Find returns the credentials to try for an image, the most exact first. A secret
// that is missing or can't be read is left out: the image may be public.
func (f Finder) Find(pod *corev1.Pod, image string) []*runtimeapi.AuthConfig {
	var all []Entry
	for _, ref := range pod.Spec.ImagePullSecrets {
		entries, err := f.read(pod.Namespace, ref.Name)
		if err != nil {
			f.Log.Warn("image pull secret", "pod", pod.Namespace+"/"+pod.Name, "secret", ref.Name, "err", err)
		}
		all = append(all, entries...)
	}
	return Match(all, image)
}

func (f Finder) read(namespace, name string) ([]Entry, error) {
	secret, err := f.Secrets.Secret(namespace, name)
	if err != nil {
		return nil, err
	}
	if secret == nil {
		return nil, errors.New("there is no such secret")
	}
	return Parse(secret)
}

// An Entry is what is to be used with one registry, or a part of one.
type Entry struct {
	Host string // may have wildcards, "*.example.com", and a port
	Path string // "/" for all of it
	Auth *runtimeapi.AuthConfig
}

// Parse reads a secret of type kubernetes.io/dockerconfigjson or
// kubernetes.io/dockercfg.
func Parse(secret *corev1.Secret) ([]Entry, error) {
	var file struct {
		Auths map[string]login `json:"auths"`
	}
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
		if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &file); err != nil {
			return nil, fmt.Errorf("%s: %w", corev1.DockerConfigJsonKey, err)
		}
	case corev1.SecretTypeDockercfg:
		if err := json.Unmarshal(secret.Data[corev1.DockerConfigKey], &file.Auths); err != nil {
			return nil, fmt.Errorf("%s: %w", corev1.DockerConfigKey, err)
		}
	default:
		return nil, fmt.Errorf("type %q: want %s", secret.Type, corev1.SecretTypeDockerConfigJson)
	}
	var entries []Entry
	for registry, l := range file.Auths {
		auth, err := l.auth()
		if err != nil {
			return nil, fmt.Errorf("auths of %s: %w", registry, err)
		}
		host, rest := split(registry)
		entries = append(entries, Entry{host, rest, auth})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Path, b.Path)) })
	return entries, nil
}

// A login is one entry of the file. Auth is "user:password" in base64, and what
// docker login writes.
type login struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func (l login) auth() (*runtimeapi.AuthConfig, error) {
	if l.Auth != "" {
		text, err := base64.StdEncoding.DecodeString(l.Auth)
		if err != nil {
			text, err = base64.RawStdEncoding.DecodeString(l.Auth)
		}
		user, password, ok := strings.Cut(string(text), ":")
		if err != nil || !ok {
			return nil, errors.New("auth is not user:password in base64")
		}
		l.Username, l.Password = user, password
	}
	return &runtimeapi.AuthConfig{Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken}, nil
}

// split takes a registry's name apart. Docker's own file names them by URL, and with
// the version of the API.
func split(registry string) (host, rest string) {
	registry = strings.TrimPrefix(strings.TrimPrefix(registry, "https://"), "http://")
	host, rest, _ = strings.Cut(registry, "/")
	rest = "/" + rest
	for _, version := range []string{"/v1/", "/v2/"} {
		if after, ok := strings.CutPrefix(rest, version); ok {
			rest = "/" + after
		}
	}
	return host, rest
}

// hub is how Docker's file calls the registry of images without a host.
const hub = "index.docker.io"

// Match returns the credentials of the entries that fit the image.
func Match(entries []Entry, image string) []*runtimeapi.AuthConfig {
	host, rest := imageHost(image)
	fits := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool {
		return !hostFits(e.Host, host) || !strings.HasPrefix(rest, e.Path)
	})
	slices.SortStableFunc(fits, func(a, b Entry) int { return strings.Compare(b.Host+b.Path, a.Host+a.Path) })
	var auths []*runtimeapi.AuthConfig
	for _, e := range fits {
		auths = append(auths, e.Auth)
	}
	return auths
}

// imageHost returns the registry of an image, and the rest of its name. The first
// element is a registry if it looks like a host.
func imageHost(image string) (host, rest string) {
	first, after, more := strings.Cut(image, "/")
	switch {
	case !more, !strings.ContainsAny(first, ".:") && first != "localhost":
		return hub, "/" + image
	case first == "docker.io":
		return hub, "/" + after
	}
	return first, "/" + after
}

// hostFits compares label by label: a wildcard stands for one label, or a part of it.
func hostFits(pattern, host string) bool {
	if pattern == "docker.io" {
		pattern = hub
	}
	pattern, patternPort := port(pattern)
	host, hostPort := port(host)
	patterns, labels := strings.Split(pattern, "."), strings.Split(host, ".")
	return patternPort == hostPort && slices.EqualFunc(patterns, labels, func(p, l string) bool {
		ok, err := path.Match(p, l)
		return ok && err == nil
	})
}

func port(hostport string) (host, port string) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport, ""
	}
	return host, port
}
