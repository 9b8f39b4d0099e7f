package cri_test

import (
	"context"
	"errors"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/none"
)

// A brokenNetwork attaches nothing, and for some time detaches nothing.
type brokenNetwork struct {
	network.Network
	detach error
}

func (n *brokenNetwork) Attach(context.Context, network.Sandbox) (network.Result, error) {
	return network.Result{}, errors.New("the cable is out")
}

func (n *brokenNetwork) Detach(ctx context.Context, s network.Sandbox) error {
	return errors.Join(n.detach, n.Network.Detach(ctx, s))
}

func TestSandboxThatCouldNotBeUndoneIsSeenAndCanBeRemoved(t *testing.T) {
	conf := runtimetest.Config(t)
	net := &brokenNetwork{Network: none.New(), detach: errors.New("nor can it be pulled")}
	conf.Network = net
	s := runtimetest.Open(t, conf)
	config := &runtimeapi.PodSandboxConfig{Metadata: &runtimeapi.PodSandboxMetadata{Name: "pod", Namespace: "test", Uid: "uid"}}
	if _, err := s.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: config}); err == nil {
		t.Fatal("got no error from a sandbox without network")
	}
	list := func() []*runtimeapi.PodSandbox {
		resp, err := s.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetItems()
	}
	left := list()
	if len(left) != 1 || left[0].GetState() != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		t.Fatalf("got sandboxes %v, want one that is not ready", left)
	}
	net.detach = nil
	if _, err := s.RemovePodSandbox(t.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: left[0].GetId()}); err != nil {
		t.Fatal(err)
	}
	if left := list(); len(left) != 0 {
		t.Errorf("got %v after removal, want none", left)
	}
}
