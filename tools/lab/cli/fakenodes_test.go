package cli

import (
	"strings"
	"testing"
)

func TestFakeNodesRefusesBeforeItWrites(t *testing.T) {
	t.Setenv("GROUNDUP_HOME", t.TempDir())
	for _, c := range []struct{ args, want string }{
		{"3 --cpu banana", "--cpu"},
		{"3 --memory=", "--memory"},
		{"3 --zones=-1", "--zones"},
		{"3 --pods=-1", "--pods"},
		{"3 --pods=many", "--pods"},
		{"few", "not a number"},
	} {
		cmd := fakeNodesCommand()
		cmd.SetArgs(strings.Fields(c.args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("fake-nodes %s: got %v, want %s named", c.args, err, c.want)
		}
	}
}
