package validation_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Variables of an ephemeral container that come from a file are checked as those of others
// are: the path stays in the volume.
func TestFilesOfEphemeralContainers(t *testing.T) {
	const text = `
metadata: {name: web, namespace: default}
spec:
  containers: [{name: web, image: "web:v1"}]
  ephemeralContainers: [{name: e, image: "e:1", env: [{name: B, valueFrom: {fileKeyRef: {volumeName: w, path: ../p, key: ""}}}]}]
`
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, err := range validation.Pod(&pod) {
		got = append(got, err.Field)
	}
	const ref = "spec.ephemeralContainers[0].env[0].valueFrom.fileKeyRef"
	for _, field := range []string{ref + ".key", ref + ".path", ref + ".volumeName"} {
		if !slices.Contains(got, field) {
			t.Errorf("%s is not refused: %v", field, got)
		}
	}
}
