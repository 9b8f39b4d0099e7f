package podshim

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// The shim of a pod whose container crashes all day must not grow all day.
func TestContainersThatWereRemovedAreForgotten(t *testing.T) {
	there, gone := t.TempDir(), filepath.Join(t.TempDir(), "gone")
	s := &Server{members: map[string]*member{
		"runs":       {dir: there, pid: 7},
		"is to run":  {dir: there},
		"ended":      {dir: there, pid: 8, exit: &state.Exit{}},
		"removed":    {dir: gone, pid: 9, exit: &state.Exit{}},
		"never ran":  {dir: gone},
		"still runs": {dir: gone, pid: 10}, // somebody has removed what is not his
	}}
	s.forgetRemoved()
	if got := slices.Sorted(maps.Keys(s.members)); !slices.Equal(got, []string{"ended", "is to run", "runs", "still runs"}) {
		t.Errorf("got %q left", got)
	}
}
