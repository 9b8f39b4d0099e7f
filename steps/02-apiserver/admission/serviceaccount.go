package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

const (
	// TokenMountPath is where programs look for the API server's address book: a
	// token, the authority's certificate, and the name of their namespace.
	TokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount"

	// RootCA is the ConfigMap of every namespace that has the authority's certificate.
	RootCA = "kube-root-ca.crt"

	defaultAccount = "default"
	tokenVolume    = "kube-api-access-"
	tokenSeconds   = 3607 // an hour, and a mark by which upstream knows tokens that were not asked for
)

// ServiceAccount gives every pod an identity: the service account that it asks for, or
// default; and its token as a volume, unless the account or the pod declines.
type ServiceAccount struct{}

// Name implements resource.Admission.
func (ServiceAccount) Name() string { return "ServiceAccount" }

// Admit implements resource.Admission.
func (ServiceAccount) Admit(ctx context.Context, r *resource.Request) error {
	if !is(r, pods) || r.Operation != resource.Create {
		return nil
	}
	pod := r.Object.(*corev1.Pod)
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		if err := mirrorsNothing(pod); err != nil {
			return forbidden(r, err)
		}
		return nil
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	account, err := accountOf(ctx, r.Memory, r.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return forbidden(r, fmt.Errorf("error looking up service account %s/%s: %w", r.Namespace, pod.Spec.ServiceAccountName, err))
	}
	if mounts(account, pod) {
		mountToken(&pod.Spec)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	return nil
}

// mirrorsNothing: a mirror pod is a node's report of what it runs by itself. It
// must not be a way for the node to read what it could not.
func mirrorsNothing(pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return errors.New("a mirror pod may not reference service accounts")
	}
	for _, used := range references(&pod.Spec) {
		switch used {
		case "secrets":
			return errors.New("a mirror pod may not reference secrets")
		case "serviceaccounts":
			return errors.New("a mirror pod may not use ServiceAccountToken volume projections")
		}
	}
	return nil
}

// accountOf reads a service account. The default one is made by a controller soon
// after its namespace, and whoever makes a pod meanwhile had better wait than fail.
func accountOf(ctx context.Context, memory resource.Memory, namespace, name string) (*corev1.ServiceAccount, error) {
	tries := 1
	if name == defaultAccount {
		tries = 10
	}
	for {
		found, err := memory.Recall(ctx, serviceAccounts, namespace, name)
		if err == nil {
			return found.(*corev1.ServiceAccount), nil
		}
		if tries--; tries == 0 && apierrors.IsNotFound(err) {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, name) // so upstream says it
		} else if tries == 0 || !apierrors.IsNotFound(err) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// mounts: the pod's own word counts before the account's.
func mounts(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	for _, wish := range []*bool{pod.Spec.AutomountServiceAccountToken, account.AutomountServiceAccountToken} {
		if wish != nil {
			return *wish
		}
	}
	return true
}

// mountToken gives the volume to every container that has nothing at its place.
func mountToken(spec *corev1.PodSpec) {
	name, there := tokenVolume+rand.String(5), false
	for _, v := range spec.Volumes {
		if strings.HasPrefix(v.Name, tokenVolume) {
			name, there = v.Name, true
			break
		}
	}
	needed := false
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			c := &list[i]
			if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == TokenMountPath }) {
				continue
			}
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: TokenMountPath})
			needed = true
		}
	}
	if needed && !there {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenSource()}})
	}
}

func tokenSource() *corev1.ProjectedVolumeSource {
	mode, seconds := corev1.ProjectedVolumeSourceDefaultMode, int64(tokenSeconds)
	return &corev1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}},
		{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: RootCA},
			Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
		}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
		}}},
	}}
}
