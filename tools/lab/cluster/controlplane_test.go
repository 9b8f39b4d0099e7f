package cluster

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/step"
)

// Back from step 02 to step 01 there is nothing for kubectl to talk to, and by the
// kubeconfig the commands know that.
func TestKubeconfigIsForStepsWithAControlPlane(t *testing.T) {
	c := &Cluster{Home: t.TempDir()}
	authority, err := pki.Open(c.path("pki"))
	if err != nil {
		t.Fatal(err)
	}
	info := step.Node{Name: "node-1", IP: "10.89.0.11", ControlPlane: "10.89.0.11", First: true}
	if err := c.credentials(Spec{Step: &step.Step{Number: 2, ControlPlane: true}}, authority, 1, info); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Kubeconfig()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := c.credentials(Spec{Step: &step.Step{Number: 1}}, authority, 1, info); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(c.Kubeconfig()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("step 01 has a kubeconfig: %v", err)
		}
	}
}
