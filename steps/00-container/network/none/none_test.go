package none_test

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/networktest"
	"github.com/k8s-groundup/groundup/steps/00-container/network/none"
)

func TestConformance(t *testing.T) {
	networktest.Run(t, func(*testing.T) network.Network { return none.New() })
}
