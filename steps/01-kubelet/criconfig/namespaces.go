package criconfig

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/userns"
)

// namespaces says whose namespaces a pod's containers are in: the pod's own,
// the node's, or, for processes, one for each container or that of a target.
func namespaces(node Node, pod *corev1.Pod, target string) (*runtimeapi.NamespaceOption, error) {
	spec := &pod.Spec
	o := &runtimeapi.NamespaceOption{
		Network: nodeIf(spec.HostNetwork, runtimeapi.NamespaceMode_POD),
		Ipc:     nodeIf(spec.HostIPC, runtimeapi.NamespaceMode_POD),
		Pid:     nodeIf(spec.HostPID, runtimeapi.NamespaceMode_CONTAINER),
	}
	if isTrue(spec.ShareProcessNamespace) {
		if spec.HostPID {
			return nil, fmt.Errorf("shareProcessNamespace and hostPID cannot both be enabled")
		}
		o.Pid = runtimeapi.NamespaceMode_POD
	}
	if target != "" && o.Pid == runtimeapi.NamespaceMode_CONTAINER {
		o.Pid, o.TargetId = runtimeapi.NamespaceMode_TARGET, target
	}
	var err error
	o.UsernsOptions, err = userNamespace(node, pod)
	return o, err
}

func nodeIf(host bool, otherwise runtimeapi.NamespaceMode) runtimeapi.NamespaceMode {
	if host {
		return runtimeapi.NamespaceMode_NODE
	}
	return otherwise
}

// ownUsers says whether the pod has a user namespace of its own.
func ownUsers(pod *corev1.Pod) bool {
	return pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers
}

func userNamespace(node Node, pod *corev1.Pod) (*runtimeapi.UserNamespace, error) {
	if !ownUsers(pod) {
		return nil, nil
	}
	if pod.Spec.HostNetwork || pod.Spec.HostIPC || pod.Spec.HostPID {
		return nil, fmt.Errorf("hostUsers: false excludes hostNetwork, hostIPC and hostPID: root of a user namespace has no power over the node's namespaces")
	}
	mapping, err := idMapping(node, pod)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: mapping, Gids: mapping}, nil
}

// idMapping is how ids in the pod become ids of the node; nil for a pod that
// uses the node's.
func idMapping(node Node, pod *corev1.Pod) ([]*runtimeapi.IDMapping, error) {
	if !ownUsers(pod) {
		return nil, nil
	}
	if node.IDRange == nil {
		return nil, fmt.Errorf("hostUsers: false: this node does not give user namespaces to pods")
	}
	r, err := node.IDRange(pod.UID)
	if err != nil {
		return nil, fmt.Errorf("hostUsers: false: %w", err)
	}
	return []*runtimeapi.IDMapping{{ContainerId: 0, HostId: r.First, Length: userns.Length}}, nil
}
