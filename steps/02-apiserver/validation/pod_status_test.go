package validation_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// What devices and users a kubelet may tell of; `make agree-api` asks upstream the same.
func TestPodStatusUpdate(t *testing.T) {
	const spec = `
containers: [{name: c, resources: {requests: {example.com/gpu: 1}, claims: [{name: gpu}, {name: net, request: fast}]}}]
initContainers: [{name: i}]
resourceClaims: [{name: gpu}, {name: net}]
`
	for name, tt := range map[string]struct {
		spec, status string
		want         []string
	}{
		"claims": {status: `resourceClaimStatuses: [{name: gpu, resourceClaimName: web-gpu}, {name: net}]`},
		"wrong claims": {status: `resourceClaimStatuses: [{name: gpu, resourceClaimName: A_}, {name: gpu}, {name: disk}]`, want: []string{
			`status.resourceClaimStatuses[0].resourceClaimName`, `status.resourceClaimStatuses[1].name`, `status.resourceClaimStatuses[2].name`}},
		"a claim for extended resources": {status: `extendedResourceClaimStatus: {resourceClaimName: x, requestMappings: [{containerName: c, resourceName: example.com/gpu, requestName: r}]}`},
		"a wrong one": {status: `extendedResourceClaimStatus: {requestMappings: [{containerName: i, resourceName: example.com/gpu, requestName: r},
			{containerName: d, resourceName: a, requestName: R}, {containerName: c, resourceName: example.com/gpu, requestName: r}, {containerName: c, resourceName: example.com/gpu, requestName: r}]}`, want: []string{
			`status.extendedResourceClaimStatus.requestMappings[0].resourceName`, `status.extendedResourceClaimStatus.requestMappings[1].containerName`, `status.extendedResourceClaimStatus.requestName`,
			`status.extendedResourceClaimStatus.requestMappings[3].containerName`, `status.extendedResourceClaimStatus.requestMappings[3].resourceName`, `status.extendedResourceClaimStatus.requestMappings[3].requestName`,
			`status.extendedResourceClaimStatus.resourceClaimName`}},
		"no requests": {status: `extendedResourceClaimStatus: {resourceClaimName: x}`, want: []string{`status.extendedResourceClaimStatus.requestMappings`}},
		"devices": {status: `{extendedResourceClaimStatus: {resourceClaimName: x, requestMappings: [{containerName: c, resourceName: example.com/gpu, requestName: r}]},
			containerStatuses: [{name: c, allocatedResourcesStatus: [{name: example.com/gpu, resources: [{resourceID: a, health: Healthy}, {resourceID: b, health: Unknown, message: m}]},
			{name: "claim:gpu"}, {name: "claim:net/fast"}, {name: "claim:x/r"}]}, {name: gone, allocatedResourcesStatus: [{name: what}]}]}`},
		"wrong devices": {status: `{containerStatuses: [{name: c, allocatedResourcesStatus: [{name: cpu}, {name: "claim:net"}, {name: "claim:x/r"},
			{name: example.com/gpu, resources: [{resourceID: a, health: Fine}, {resourceID: a, health: Healthy, message: ""}]}]}],
			ephemeralContainerStatuses: [{name: e, allocatedResourcesStatus: [{name: cpu}]}]}`, want: []string{
			`status.containerStatuses[0].allocatedResourcesStatus[0].name`, `status.containerStatuses[0].allocatedResourcesStatus[1].name`, `status.containerStatuses[0].allocatedResourcesStatus[2].name`,
			`status.containerStatuses[0].allocatedResourcesStatus[3].resources[0].health`, `status.containerStatuses[0].allocatedResourcesStatus[3].resources[1].message`,
			`status.containerStatuses[0].allocatedResourcesStatus[3].resources[1].resourceID`, `status.ephemeralContainerStatuses[0].allocatedResourcesStatus`}},
		"users": {status: `containerStatuses: [{name: c, user: {linux: {uid: 4294967295, gid: 2147483647, supplementalGroups: [0]}}}]`},
		"wrong users": {status: `initContainerStatuses: [{name: i, user: {linux: {uid: 4294967296, gid: 2147483648, supplementalGroups: [-1]}}}]`, want: []string{
			`status.initContainerStatuses[0].user.linux.uid`, `status.initContainerStatuses[0].user.linux.gid`, `status.initContainerStatuses[0].user.linux.supplementalGroups[0]`}},
		"a user of another system": {spec: `os: {name: windows}`, status: `containerStatuses: [{name: c, user: {linux: {uid: 0, gid: 0}}}]`, want: []string{`status.containerStatuses[0].user.linux`}},
	} {
		t.Run(name, func(t *testing.T) {
			var old corev1.Pod
			old.Name, old.ResourceVersion = "web", "1"
			for _, text := range []string{spec, tt.spec} {
				if err := yaml.UnmarshalStrict([]byte(text), &old.Spec); err != nil {
					t.Fatal(err)
				}
			}
			p := old.DeepCopy()
			if err := yaml.UnmarshalStrict([]byte(tt.status), &p.Status); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range validation.PodStatusUpdate(p, &old) {
				got = append(got, e.Field)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
