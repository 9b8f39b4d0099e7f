package manifest

import (
	"os"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The errors in testdata/validation.yaml were printed by the validation of
// Kubernetes itself: ours has to find the same ones, in the same words.
func TestValidateSaysWhatKubernetesSays(t *testing.T) {
	data, err := os.ReadFile("testdata/validation.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name   string      `json:"name"`
		Pod    *corev1.Pod `json:"pod"`
		Errors []string    `json:"errors"`
	}
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			SetDefaults(c.Pod)
			got := []string{}
			for _, e := range Validate(c.Pod) {
				got = append(got, e.Error())
			}
			slices.Sort(got)
			for _, e := range got {
				if !slices.Contains(c.Errors, e) {
					t.Errorf("only here:       %s", e)
				}
			}
			for _, e := range c.Errors {
				if !slices.Contains(got, e) {
					t.Errorf("only upstream:   %s", e)
				}
			}
		})
	}
}
