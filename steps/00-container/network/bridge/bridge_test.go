package bridge

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/networktest"
)

func newBridge(t *testing.T, c Config) *Bridge {
	t.Helper()
	if c.State == "" {
		c.State = t.TempDir()
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestConformance(t *testing.T) {
	networktest.Run(t, func(t *testing.T) network.Network { return newBridge(t, Config{}) })
}
