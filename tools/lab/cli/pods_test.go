package cli

import (
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestPodsInNoSuchFormat(t *testing.T) {
	for _, format := range []string{"yaml", "wide", "{.x"} {
		if err := writePods(io.Discard, make([]corev1.Pod, 1), format, true); err == nil || !strings.Contains(err.Error(), "output format") {
			t.Errorf("-o %s: got %v, want an error about the format", format, err)
		}
	}
}
