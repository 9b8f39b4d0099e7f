package cli

import (
	"io"
	"strings"
	"testing"
)

func TestWrongArgumentsAreRefusedWithWhatWouldBeRight(t *testing.T) {
	t.Setenv("GROUNDUP_HOME", t.TempDir())
	for _, c := range []struct{ line, want string }{
		{"hint", "usage: lab hint TASK [STEP|LAB]"},
		{"fake-nodes", "usage: lab fake-nodes N"},
		{"trace", "usage: lab trace pod/NAME"},
		{"etcd snapshot", "usage: lab etcd snapshot"},
		{"status now", "usage: lab status"},
		{"up --nodes 1000", "at most 50"},
		{"fake-nodes 3 --cpu many", "not a quantity"},
		{"fake-nodes 3 --zones -1", "negative"},
		{"up --node 3", "`lab up --help`"},
	} {
		cmd := New()
		cmd.SetArgs(strings.Fields(c.line))
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("lab %s: got %v, want %q in it", c.line, err, c.want)
		}
	}
}
