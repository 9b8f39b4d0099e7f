package authz

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/review"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Decider decides, and tells rules.
type Decider interface {
	Authorizer
	authorizer.RuleResolver
}

// Reviews are the rows of authorization.k8s.io: whether somebody may do
// something, or what one may oneself. `kubectl auth can-i` asks so, and so does a
// kubelet whose own API is asked for. They are answered by the authorizer that
// decides on requests, and stored nowhere.
func Reviews(d Decider) []resource.Resource {
	r, gv := reviews{d}, authorizationv1.SchemeGroupVersion
	return []resource.Resource{
		review.Row(gv, "SubjectAccessReview", false, r.subject),
		review.Row(gv, "SelfSubjectAccessReview", false, r.self),
		review.Row(gv, "LocalSubjectAccessReview", true, r.local),
		review.Row(gv, "SelfSubjectRulesReview", false, r.rules),
	}
}

type reviews struct{ Decider }

func (r reviews) subject(ctx context.Context, _ string, q *authorizationv1.SubjectAccessReview) (*authorizationv1.SubjectAccessReview, error) {
	if errs := append(validateSubject(q.Spec), empty(q.ObjectMeta, "must be empty")...); len(errs) > 0 {
		return nil, invalid("SubjectAccessReview", errs)
	}
	q.Status = r.ask(ctx, userOf(q.Spec), q.Spec.ResourceAttributes, q.Spec.NonResourceAttributes)
	return q, nil
}

func (r reviews) self(ctx context.Context, _ string, q *authorizationv1.SelfSubjectAccessReview) (*authorizationv1.SelfSubjectAccessReview, error) {
	who, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	if errs := append(validateAttributes(q.Spec.ResourceAttributes, q.Spec.NonResourceAttributes), empty(q.ObjectMeta, "must be empty")...); len(errs) > 0 {
		return nil, invalid("SelfSubjectAccessReview", errs)
	}
	q.Status = r.ask(ctx, who, q.Spec.ResourceAttributes, q.Spec.NonResourceAttributes)
	return q, nil
}

// local is subject for one namespace: who may ask it there may not elsewhere.
func (r reviews) local(ctx context.Context, namespace string, q *authorizationv1.LocalSubjectAccessReview) (*authorizationv1.LocalSubjectAccessReview, error) {
	meta := q.ObjectMeta
	meta.Namespace = ""
	errs := append(validateSubject(q.Spec), empty(meta, "must be empty except for namespace")...)
	if a := q.Spec.ResourceAttributes; a != nil && a.Namespace != namespace {
		errs = append(errs, field.Invalid(field.NewPath("spec.resourceAttributes.namespace"), a.Namespace, "must match metadata.namespace"))
	}
	if q.Spec.NonResourceAttributes != nil {
		errs = append(errs, field.Invalid(field.NewPath("spec.nonResourceAttributes"), q.Spec.NonResourceAttributes, "disallowed on this kind of request"))
	}
	if len(errs) > 0 {
		return nil, invalid("LocalSubjectAccessReview", errs)
	}
	q.Status = r.ask(ctx, userOf(q.Spec), q.Spec.ResourceAttributes, nil)
	return q, nil
}

func (r reviews) rules(ctx context.Context, _ string, q *authorizationv1.SelfSubjectRulesReview) (*authorizationv1.SelfSubjectRulesReview, error) {
	who, ok := request.UserFrom(ctx)
	switch {
	case !ok:
		return nil, apierrors.NewBadRequest("no user present on request")
	case q.Spec.Namespace == "":
		return nil, apierrors.NewBadRequest("no namespace on request")
	}
	resources, paths, incomplete, err := r.RulesFor(ctx, who, q.Spec.Namespace)
	q.Status = authorizationv1.SubjectRulesReviewStatus{ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{}, Incomplete: incomplete}
	for _, rule := range resources {
		q.Status.ResourceRules = append(q.Status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: rule.GetVerbs(), APIGroups: rule.GetAPIGroups(), Resources: rule.GetResources(), ResourceNames: rule.GetResourceNames()})
	}
	for _, rule := range paths {
		q.Status.NonResourceRules = append(q.Status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: rule.GetVerbs(), NonResourceURLs: rule.GetNonResourceURLs()})
	}
	if err != nil {
		q.Status.EvaluationError = err.Error()
	}
	return q, nil
}

func (r reviews) ask(ctx context.Context, who user.Info, of *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) authorizationv1.SubjectAccessReviewStatus {
	a := attributes(who, of, path)
	decision, reason, err := r.Authorize(ctx, a)
	status := authorizationv1.SubjectAccessReviewStatus{Allowed: decision == authorizer.DecisionAllow, Denied: decision == authorizer.DecisionDeny, Reason: reason}
	if err := errors.Join(err, a.FieldSelectorParsingErr, a.LabelSelectorParsingErr); err != nil {
		status.EvaluationError = err.Error()
	}
	return status
}

func userOf(s authorizationv1.SubjectAccessReviewSpec) user.Info {
	who := &user.DefaultInfo{Name: s.User, Groups: s.Groups, UID: s.UID, Extra: map[string][]string{}}
	for k, v := range s.Extra {
		who.Extra[k] = v
	}
	return who
}

// attributes is the request that a review is about.
func attributes(who user.Info, of *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) authorizer.AttributesRecord {
	if of == nil {
		return authorizer.AttributesRecord{User: who, Verb: path.Verb, Path: path.Path}
	}
	a := authorizer.AttributesRecord{
		User: who, Verb: of.Verb, Namespace: of.Namespace, APIGroup: of.Group, APIVersion: of.Version,
		Resource: of.Resource, Subresource: of.Subresource, Name: of.Name, ResourceRequest: true,
	}
	if a.APIVersion == "" {
		a.APIVersion = "*"
	}
	if of.FieldSelector != nil {
		a.FieldSelectorRequirements, a.FieldSelectorParsingErr = fieldRequirements(of.FieldSelector)
	}
	if of.LabelSelector != nil {
		a.LabelSelectorRequirements, a.LabelSelectorParsingErr = labelRequirements(of.LabelSelector)
	}
	return a
}

// fieldRequirements leaves out what it does not understand, and says so: without
// it, more is asked for, and less of that is allowed.
func fieldRequirements(s *authorizationv1.FieldSelectorAttributes) (fields.Requirements, error) {
	if s.RawSelector != "" {
		parsed, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return nil, err
		}
		return parsed.Requirements(), nil
	}
	operators := map[metav1.FieldSelectorOperator]selection.Operator{metav1.FieldSelectorOpIn: selection.Equals, metav1.FieldSelectorOpNotIn: selection.NotEquals}
	var all fields.Requirements
	var errs []error
	for _, r := range s.Requirements {
		if op, ok := operators[r.Operator]; ok && len(r.Values) == 1 {
			all = append(all, fields.Requirement{Field: r.Key, Operator: op, Value: r.Values[0]})
		} else {
			errs = append(errs, fmt.Errorf("field selector %s %s: one value, with In or NotIn, is what can be asked for", r.Key, r.Operator))
		}
	}
	return all, errors.Join(errs...)
}

func labelRequirements(s *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if s.RawSelector != "" {
		parsed, err := labels.Parse(s.RawSelector)
		if err != nil {
			return nil, err
		}
		all, _ := parsed.Requirements()
		return all, nil
	}
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	var all labels.Requirements
	var errs []error
	for _, r := range s.Requirements {
		op, ok := operators[r.Operator]
		if !ok {
			errs = append(errs, fmt.Errorf("%q is not a valid label selector operator", r.Operator))
			continue
		}
		requirement, err := labels.NewRequirement(r.Key, op, r.Values)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, *requirement)
	}
	return all, errors.Join(errs...)
}

func validateSubject(s authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := validateAttributes(s.ResourceAttributes, s.NonResourceAttributes)
	if s.User == "" && len(s.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), s.User, "at least one of user or group must be specified"))
	}
	return errs
}

func validateAttributes(of *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) (errs field.ErrorList) {
	if (of == nil) == (path == nil) {
		errs = append(errs, field.Invalid(field.NewPath("spec"), path, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	if of == nil {
		return errs
	}
	at := field.NewPath("spec.resourceAttributes")
	if s := of.FieldSelector; s != nil {
		errs = append(errs, validateSelector(s.RawSelector, len(s.Requirements), at.Child("fieldSelector"))...)
	}
	if s := of.LabelSelector; s != nil {
		errs = append(errs, validateSelector(s.RawSelector, len(s.Requirements), at.Child("labelSelector"))...)
	}
	return errs
}

func validateSelector(raw string, requirements int, at *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(at.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(at.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", at))}
	}
	return nil
}

func empty(meta metav1.ObjectMeta, message string) field.ErrorList {
	meta.ManagedFields = nil
	if reflect.ValueOf(meta).IsZero() {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), meta, message)}
}

func invalid(kind string, errs field.ErrorList) error {
	return apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind(kind).GroupKind(), "", errs)
}
