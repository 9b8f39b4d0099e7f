package cri_test

import (
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
)

// A container that is being removed has ended, until there is none. A kubelet that saw one
// that was never started would take it for the beginning of another.
func TestWhoIsRemovedHasEnded(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	for round := range 20 {
		id := pod.Run("echo", []string{"echo", "done"}, func(c *runtimeapi.ContainerConfig) { c.Metadata.Attempt = uint32(round) })
		runtimetest.Wait(t, s, id)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := s.RemoveContainer(t.Context(), &runtimeapi.RemoveContainerRequest{ContainerId: id}); err != nil {
				t.Error(err)
			}
		}()
		for there := true; there; {
			list, err := s.ListContainers(t.Context(), &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{Id: id}})
			if err != nil {
				t.Fatal(err)
			}
			there = len(list.Containers) > 0
			if there && list.Containers[0].State != runtimeapi.ContainerState_CONTAINER_EXITED {
				t.Fatalf("round %d: got %s", round, list.Containers[0].State)
			}
		}
		<-done
	}
}
