package cluster

import (
	"path/filepath"
	"testing"
)

func TestHomeHasOneName(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, c := range []struct{ asked, want string }{
		{"", DefaultHome},
		{DefaultHome + "/", DefaultHome},
		{dir + "/home/", filepath.Join(dir, "home")},
		{"home", filepath.Join(dir, "home")},
		{"./a/../home", filepath.Join(dir, "home")},
	} {
		t.Setenv("GROUNDUP_HOME", c.asked)
		if got := Home(); got != c.want {
			t.Errorf("GROUNDUP_HOME=%s: got %s, want %s", c.asked, got, c.want)
		}
	}
}
