package cli

import (
	"errors"
	"os"
	"testing"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
)

func TestVerifySaysThatThereIsNoCluster(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it would ask sudo")
	}
	t.Setenv("GROUNDUP_HOME", t.TempDir())
	cmd := verifyCommand()
	cmd.SetArgs([]string{"01", "--check", "none-such"})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	if err := cmd.Execute(); !errors.Is(err, cluster.ErrNone) {
		t.Errorf("got %v, want %v", err, cluster.ErrNone)
	}
}
