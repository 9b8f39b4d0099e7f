package serviceaccount

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/warning"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

const (
	defaultSeconds = 60 * 60
	minSeconds     = 10 * 60
	maxSeconds     = 1 << 32
)

var requestKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")

// Subresource is serviceaccounts/token: a POST there is answered with a token.
// Nothing is stored. The kubelet asks for one for each pod, bound to the pod.
func (t *Tokens) Subresource() resource.Subresource {
	return resource.Subresource{
		Name:             "token",
		GroupVersionKind: requestKind,
		New:              func() runtime.Object { return &authenticationv1.TokenRequest{} },
		Create: func(ctx context.Context, server resource.Server, namespace, name string, obj runtime.Object, dryRun bool) (runtime.Object, error) {
			return t.request(ctx, server, namespace, name, obj.(*authenticationv1.TokenRequest), dryRun)
		},
	}
}

func (t *Tokens) request(ctx context.Context, objects Getter, namespace, name string, r *authenticationv1.TokenRequest, dryRun bool) (*authenticationv1.TokenRequest, error) {
	if errs := validateNames(r, namespace, name); len(errs) > 0 {
		return nil, apierrors.NewInvalid(requestKind.GroupKind(), name, errs)
	}
	account, err := objects.Get(ctx, serviceAccounts, namespace, name)
	if err != nil {
		return nil, err
	}
	if r.UID != "" && r.UID != account.GetUID() {
		return nil, apierrors.NewConflict(schema.GroupResource{Group: requestKind.Group, Resource: requestKind.Kind}, name,
			fmt.Errorf("the UID in the token request (%s) does not match the UID of the service account (%s)", r.UID, account.GetUID()))
	}
	now := time.Now()
	r.Name, r.Namespace, r.UID = account.GetName(), account.GetNamespace(), account.GetUID()
	r.CreationTimestamp, r.Status = metav1.NewTime(now), authenticationv1.TokenRequestStatus{}
	t.setDefaults(&r.Spec)
	if errs := validate(&r.Spec); len(errs) > 0 {
		return nil, apierrors.NewInvalid(requestKind.GroupKind(), "", errs)
	}
	claims := bound{Namespace: namespace, ServiceAccount: *refTo(account)}
	if err := bind(ctx, objects, &claims, r.Spec.BoundObjectRef); err != nil {
		return nil, err
	}
	t.limit(ctx, r.Spec.ExpirationSeconds)
	life := time.Duration(*r.Spec.ExpirationSeconds) * time.Second
	r.Status.ExpirationTimestamp = metav1.NewTime(now.Add(life))
	if dryRun {
		return r, nil
	}
	r.Status.Token, err = t.sign(claims, r.Spec.Audiences, now, life)
	return r, err
}

func validateNames(r *authenticationv1.TokenRequest, namespace, name string) (errs field.ErrorList) {
	at := field.NewPath("metadata")
	if r.Name != "" && r.Name != name {
		errs = append(errs, field.Invalid(at.Child("name"), r.Name, "must match the service account name if specified"))
	}
	if r.Namespace != "" && r.Namespace != namespace {
		errs = append(errs, field.Invalid(at.Child("namespace"), r.Namespace, "must match the service account namespace if specified"))
	}
	return errs
}

func (t *Tokens) setDefaults(s *authenticationv1.TokenRequestSpec) {
	if len(s.Audiences) == 0 {
		s.Audiences = t.conf.Audiences
	}
	if s.ExpirationSeconds == nil {
		seconds := int64(defaultSeconds)
		s.ExpirationSeconds = &seconds
	}
}

func validate(s *authenticationv1.TokenRequestSpec) (errs field.ErrorList) {
	at := field.NewPath("spec", "expirationSeconds")
	if *s.ExpirationSeconds < minSeconds {
		errs = append(errs, field.Invalid(at, *s.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
	}
	if *s.ExpirationSeconds > maxSeconds {
		errs = append(errs, field.Invalid(at, *s.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
	}
	return errs
}

// limit shortens the life that was asked for, and says so.
func (t *Tokens) limit(ctx context.Context, seconds *int64) {
	longest := int64(t.conf.MaxLife / time.Second)
	if longest > 0 && *seconds > longest {
		warning.AddWarning(ctx, "", fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", *seconds, longest))
		*seconds = longest
	}
}

// bind looks up the object that the token is to live and die with.
func bind(ctx context.Context, objects Getter, claims *bound, to *authenticationv1.BoundObjectReference) error {
	if to == nil {
		return nil
	}
	kind := schema.FromAPIVersionAndKind(to.APIVersion, to.Kind)
	var obj resource.Object
	var err error
	switch kind.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		if obj, err = objects.Get(ctx, pods, claims.Namespace, to.Name); err == nil {
			claims.Pod = refTo(obj)
			claims.Node, err = nodeOf(ctx, objects, claims.ServiceAccount.Name, obj.(*corev1.Pod))
		}
	case schema.GroupKind{Kind: "Secret"}:
		if obj, err = objects.Get(ctx, secrets, claims.Namespace, to.Name); err == nil {
			claims.Secret = refTo(obj)
		}
	case schema.GroupKind{Kind: "Node"}:
		if obj, err = objects.Get(ctx, nodes, "", to.Name); err == nil {
			claims.Node = refTo(obj)
		}
	default:
		return apierrors.NewBadRequest("cannot bind token to object of type " + kind.String())
	}
	if err != nil {
		return err
	}
	if to.UID != "" && to.UID != obj.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, to.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", to.UID))
	}
	return nil
}

// nodeOf returns the node of a pod, nil if it has none yet. A pod that runs as
// another service account cannot vouch for this one.
func nodeOf(ctx context.Context, objects Getter, account string, pod *corev1.Pod) (*ref, error) {
	if pod.Spec.ServiceAccountName != account {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account))
	}
	if pod.Spec.NodeName == "" {
		return nil, nil
	}
	node, err := objects.Get(ctx, nodes, "", pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return &ref{Name: pod.Spec.NodeName}, nil
	}
	if err != nil {
		return nil, err
	}
	return refTo(node), nil
}
