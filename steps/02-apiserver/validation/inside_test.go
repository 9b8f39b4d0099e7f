package validation

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The texts are upstream's.
func TestInside(t *testing.T) {
	for want, value := range map[string]any{
		`{"Key":"a","Operator":"","Value":"","Effect":"","TolerationSeconds":null}`:                                              corev1.Toleration{Key: "a"},
		`{"Key":"a","Value":"x","Effect":"NoSchedule","TimeAdded":null}`:                                                         corev1.Taint{Key: "a", Value: "x", Effect: "NoSchedule"},
		`{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}`:                                  corev1.ServicePort{Protocol: "TCP", Port: 80, TargetPort: intstr.FromInt32(0)},
		`{"MatchExpressions":[{"ScopeName":"Odd","Operator":"In","Values":["x"]},{"ScopeName":"","Operator":"","Values":null}]}`: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{ScopeName: "Odd", Operator: "In", Values: []string{"x"}}, {}}},
		`null`: metav1.Time{},
	} {
		if got, err := json.Marshal(inside{value}); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}
