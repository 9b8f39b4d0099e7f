package cri

import (
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A kubelet shows as a container's image what its status says, and asks for it by its ID.
func TestImagesAreShownByName(t *testing.T) {
	const id = "sha256:0123"
	for tag, want := range map[string]string{"docker.io/library/web:v1": "docker.io/library/web:v1", "": id} {
		c := &container{ImageTag: tag, Config: &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: id, UserSpecifiedImage: "web:v1"}}}
		if got := imageOf(c); got.GetImage() != want || got.GetUserSpecifiedImage() != "web:v1" {
			t.Errorf("tag %q: got %v, want %s", tag, got, want)
		}
		if asked := c.Config.GetImage().GetImage(); asked != id {
			t.Errorf("tag %q: what was asked for has become %s", tag, asked)
		}
	}
}
