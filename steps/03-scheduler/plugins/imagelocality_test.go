package plugins_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

func TestImageLocality(t *testing.T) {
	for _, row := range []struct {
		name, pod string
		want      map[string]int64
	}{
		{"nobody has it", `spec: {containers: [{name: c, image: none}]}`, map[string]int64{"has": 0, "lacks": 0}},
		{"half of the nodes have it", `spec: {containers: [{name: c, image: big}]}`, map[string]int64{"has": 48, "lacks": 0}},
		{"a tag of its own", `spec: {containers: [{name: c, image: "big:v2"}]}`, map[string]int64{"has": 0, "lacks": 0}},
		{"too small to matter", `spec: {containers: [{name: c, image: small}]}`, map[string]int64{"has": 0, "lacks": 0}},
		{"one of two", `spec: {containers: [{name: c, image: big}, {name: d, image: none}]}`, map[string]int64{"has": 24, "lacks": 0}},
		{"as a volume", `spec: {volumes: [{name: v, image: {reference: big}}]}`, map[string]int64{"has": 48, "lacks": 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			snapshot := frameworktest.Snapshot(
				frameworktest.Node(t, "has", `status: {images: [{names: ["big:latest", "big@sha256:1"], sizeBytes: 1048576000}, {names: ["small:latest"], sizeBytes: 1000}]}`),
				frameworktest.Node(t, "lacks", ""),
			)
			got := frameworktest.Scores(t, plugins.ImageLocality{}, snapshot, frameworktest.Pod(t, "new", row.pod))
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("scores (-want +got)\n%s", diff)
			}
		})
	}
}
