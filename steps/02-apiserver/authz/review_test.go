package authz

import (
	"fmt"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
)

type (
	subject = authorizationv1.SubjectAccessReviewSpec
	of      = authorizationv1.ResourceAttributes
)

func TestReviews(t *testing.T) {
	rows := map[string]func(runtime.Object) (runtime.Object, error){}
	for _, row := range Reviews(all(t)) {
		rows[row.Kind] = func(obj runtime.Object) (runtime.Object, error) {
			namespace := ""
			if row.Namespaced {
				namespace = "shop"
			}
			return row.Subresources[0].Create(request.WithUser(t.Context(), cart), nil, namespace, "", obj, false)
		}
	}
	pods := &of{Verb: "list", Resource: "pods", FieldSelector: &authorizationv1.FieldSelectorAttributes{
		Requirements: []metav1.FieldSelectorRequirement{{Key: "spec.nodeName", Operator: metav1.FieldSelectorOpIn, Values: []string{"node-1"}}}}}
	strange := &of{Verb: "list", Resource: "pods",
		FieldSelector: &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{{Key: "spec.nodeName", Operator: "Like"}}},
		LabelSelector: &authorizationv1.LabelSelectorAttributes{Requirements: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}, {Key: "b", Operator: metav1.LabelSelectorOpExists}}}}
	for _, c := range []struct {
		name string
		ask  runtime.Object
		want string // allowed, or the reason, or the error
	}{
		{"a node's pods", &authorizationv1.SubjectAccessReview{Spec: subject{User: node1.GetName(), Groups: node1.GetGroups(), ResourceAttributes: pods}}, "allowed"},
		{"a selector as a string", &authorizationv1.SubjectAccessReview{Spec: subject{User: node1.GetName(), Groups: node1.GetGroups(), ResourceAttributes: &of{Verb: "list", Resource: "pods",
			FieldSelector: &authorizationv1.FieldSelectorAttributes{RawSelector: "spec.nodeName=node-1"}, LabelSelector: &authorizationv1.LabelSelectorAttributes{RawSelector: "a in (b)"}}}}, "allowed"},
		{"a selector of the future", &authorizationv1.SubjectAccessReview{Spec: subject{User: "system:node:node-1", Groups: []string{"system:nodes"}, ResourceAttributes: strange}},
			"spec.nodeName field selector\nNo policy matched.; field selector spec.nodeName Like: one value, with In or NotIn, is what can be asked for\n\"Like\" is not a valid label selector operator"},
		{"a path", &authorizationv1.SubjectAccessReview{Spec: subject{User: "x", Groups: []string{"system:masters"}, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/metrics"}}}, "allowed"},
		{"nobody", &authorizationv1.SubjectAccessReview{Spec: subject{ResourceAttributes: pods}}, `spec.user: Invalid value: "": at least one of user or group must be specified`},
		{"nothing", &authorizationv1.SubjectAccessReview{Spec: subject{User: "x"}}, "exactly one of nonResourceAttributes or resourceAttributes must be specified"},
		{"a name", &authorizationv1.SubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: subject{User: "x", ResourceAttributes: pods}}, "metadata: Invalid value"},
		{"two selectors", &authorizationv1.SubjectAccessReview{Spec: subject{User: "x", ResourceAttributes: &of{FieldSelector: &authorizationv1.FieldSelectorAttributes{
			RawSelector: "a=b", Requirements: []metav1.FieldSelectorRequirement{{}}}}}}, "may not specified at the same time as requirements"},
		{"no selector", &authorizationv1.SubjectAccessReview{Spec: subject{User: "x", ResourceAttributes: &of{LabelSelector: &authorizationv1.LabelSelectorAttributes{}}}}, "requirements or rawSelector is required"},

		{"self", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &of{Verb: "get", Namespace: "shop", Resource: "configmaps", Name: "a"}}}, "allowed"},
		{"self, refused", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &of{Verb: "get", Namespace: "shop", Resource: "secrets", Name: "a"}}}, "No policy matched."},

		{"local", &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Spec: subject{User: "x", Groups: []string{"system:masters"}, ResourceAttributes: &of{Verb: "get", Namespace: "shop", Resource: "secrets"}}}, "allowed"},
		{"local of another namespace", &authorizationv1.LocalSubjectAccessReview{Spec: subject{User: "x", ResourceAttributes: &of{Namespace: "bank"}}}, `spec.resourceAttributes.namespace: Invalid value: "bank": must match metadata.namespace`},
		{"local of a path", &authorizationv1.LocalSubjectAccessReview{Spec: subject{User: "x", NonResourceAttributes: &authorizationv1.NonResourceAttributes{}}}, "disallowed on this kind of request"},

		{"rules of no namespace", &authorizationv1.SelfSubjectRulesReview{}, "no namespace on request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind := strings.TrimPrefix(fmt.Sprintf("%T", c.ask), "*v1.")
			answer, err := rows[kind](c.ask)
			got := ""
			if err != nil {
				got = err.Error()
			} else if status := statusOf(answer); status.Allowed {
				got = "allowed"
			} else {
				got = status.Reason + "; " + status.EvaluationError
			}
			if !strings.Contains(got, c.want) || c.want == "allowed" && got != "allowed" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	answer, err := rows["SelfSubjectRulesReview"](&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	var has []string
	for _, r := range answer.(*authorizationv1.SelfSubjectRulesReview).Status.ResourceRules {
		has = append(has, strings.Join(r.Verbs, ",")+" "+strings.Join(r.Resources, ","))
	}
	if got, want := strings.Join(has, "; "), "create selfsubjectaccessreviews,selfsubjectrulesreviews; create selfsubjectreviews; get,list,watch configmaps"; got != want {
		t.Errorf("rules: got %s, want %s", got, want)
	}
}

func statusOf(answer runtime.Object) authorizationv1.SubjectAccessReviewStatus {
	switch r := answer.(type) {
	case *authorizationv1.SubjectAccessReview:
		return r.Status
	case *authorizationv1.SelfSubjectAccessReview:
		return r.Status
	case *authorizationv1.LocalSubjectAccessReview:
		return r.Status
	}
	return authorizationv1.SubjectAccessReviewStatus{}
}
