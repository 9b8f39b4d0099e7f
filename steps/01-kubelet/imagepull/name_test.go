package imagepull

import (
	"strings"
	"testing"
)

func TestNamesAreCompleted(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0", 64)
	for image, want := range map[string]string{
		"busybox":                           "busybox:latest",
		"busybox:1":                         "busybox:1",
		"busybox" + digest:                  "busybox" + digest,
		"busybox:1" + digest:                "busybox:1" + digest,
		"registry.example:5000/a/b":         "registry.example:5000/a/b:latest",
		"Not An Image":                      `couldn't parse image name "Not An Image": invalid reference format: repository name (library/Not An Image) must be lowercase`,
		"registry.example:5000/a/b:bad/tag": "couldn't parse image name \"registry.example:5000/a/b:bad/tag\": invalid reference format",
	} {
		got, err := withTag(image)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", image, got, want)
		}
	}
}
