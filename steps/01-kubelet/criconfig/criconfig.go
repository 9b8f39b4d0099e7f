// Package criconfig translates a pod into what the CRI wants to hear.
//
// A pod says what a user means: "run as somebody, not as root", "this much
// memory", "my own name as an environment variable". The CRI says what a
// runtime does: a uid, a limit in bytes, a list of KEY=value. Everything
// between the two is decided here, by functions that read no file, ask no
// runtime and know no clock, so that each decision is a line in a table test.
// [Sandbox] makes the pod's part and [Container] the part of one container.
//
// The kubelet calls them in this order:
//
//  1. [Admit] once, when the pod is first seen: some pods can never run here.
//  2. [Sandbox] for each new sandbox.
//  3. [HostsFile], after the sandbox told its addresses, and [Container] for
//     each start of a container.
//
// An error from Sandbox or Container is a mistake in the pod or something that
// the pod waits for; it becomes the reason CreateContainerConfigError.
//
// Upstream has this in pkg/kubelet/kuberuntime (labels.go, security_context.go,
// kuberuntime_container_linux.go) and pkg/kubelet/kubelet_pods.go.
package criconfig

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/userns"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// A Node is what the kubelet knows and a pod does not. It is read only and may
// be shared.
type Node struct {
	Name        string
	IPs         []netip.Addr        // status.hostIPs, the primary one first
	Allocatable corev1.ResourceList // what resourceFieldRef reports where a pod sets no limit
	Capacity    corev1.ResourceList // its memory scales the oom_score_adj of burstable pods

	RootDir    string // holds pods/UID and seccomp: /var/lib/kubelet
	PodLogsDir string // holds NAMESPACE_NAME_UID: /var/log/pods

	ClusterDomain string   // "cluster.local"; empty: pods get no cluster names
	ClusterDNS    []string // servers for dnsPolicy ClusterFirst
	HostDNS       DNS      // the node's own resolv.conf, for dnsPolicy Default

	SeccompDefault       bool     // RuntimeDefault instead of Unconfined for pods that do not say
	AllowedUnsafeSysctls []string // names or prefixes ending in *
	CPUCFSQuota          bool     // whether CPU limits become a quota
	CPUCFSQuotaPeriod    int64    // microseconds; 0 means 100000
	CgroupV2             bool     // decides which of the resources' fields have an effect

	AppArmor bool // the kernel has it and it is enabled
	SELinux  bool // likewise

	// IDRange returns the block of host ids that belongs to a pod with
	// hostUsers: false, as [userns.Allocator.Get] does. When it is nil such
	// pods are refused.
	IDRange func(uid types.UID) (userns.Range, error)
}

// Sandbox returns the config of a pod's sandbox. Attempt counts the sandboxes
// that this pod has had, from 0; cgroupParent is the pod's cgroup.
func Sandbox(node Node, pod *corev1.Pod, attempt uint32, cgroupParent string) (*runtimeapi.PodSandboxConfig, error) {
	return sandbox(node, pod, attempt, cgroupParent)
}

// An Input is all that the config of one container depends on.
type Input struct {
	Node      Node
	Pod       *corev1.Pod
	Container *corev1.Container // of the pod; for an ephemeral container, [Ephemeral] of it
	Attempt   uint32            // the container's restart count
	Image     *runtimeapi.Image // as ImageStatus returns it: id, uid or user name
	PodIPs    []string          // as the sandbox's status tells them, the primary one first

	// Volumes is what [volume.Manager.Mount] returned, by volume name.
	Volumes map[string]volume.Mounted

	// SubPath returns the host path of a subPath in a volume. It is
	// [volume.Manager.SubPaths], and the only part of making a config that
	// may touch the machine. Index counts the container's volumeMounts.
	SubPath func(index int, volumeName, subPath string) (string, error)

	HostsFile      string // host path of the managed /etc/hosts; empty for none
	TerminationLog string // host path of an empty file; empty for none
	TargetID       string // id of the container whose processes an ephemeral container sees

	// BaseEnv comes before the container's own variables, which may use and
	// replace it. A later step puts the variables of services here.
	BaseEnv []corev1.EnvVar

	// Objects resolves what a container takes from configMaps and secrets.
	// When it is nil a reference that is not optional is an error.
	Objects Objects
}

// Objects gives access to the objects that a container's environment refers
// to. A later step implements it by asking the API server.
type Objects interface {
	// ConfigMap returns nil and no error when there is no such object.
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
	// Secret returns nil and no error when there is no such object.
	Secret(namespace, name string) (*corev1.Secret, error)
}

// Container returns the config of one container.
func Container(in Input) (*runtimeapi.ContainerConfig, error) {
	return container(in)
}
