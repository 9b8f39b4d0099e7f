package cli

import (
	"strings"
	"testing"
)

func TestShowSaysHowToBuildWhatShows(t *testing.T) {
	err := show(t.Context(), t.Output(), t.TempDir(), "# Pods")
	if err == nil || !strings.Contains(err.Error(), "`make lab`") {
		t.Errorf("got %v, want the command that builds lab-page", err)
	}
}
