package bridge

import (
	"net/netip"
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

// TestBridgeWithoutASubnetTakesTheOneThatIsThere: the runtime command, which is
// told nothing, and a kubelet, which is told the node's range, use one bridge.
func TestBridgeWithoutASubnetTakesTheOneThatIsThere(t *testing.T) {
	node := networktest.NewNamespace(t)
	node.Do(t, func() {
		want := netip.MustParsePrefix("10.244.7.0/24")
		newBridge(t, Config{Subnet: want})
		if got := newBridge(t, Config{}).conf.Subnet; got != want {
			t.Errorf("got subnet %s, want %s: two subnets on one bridge", got, want)
		}
	})
}
