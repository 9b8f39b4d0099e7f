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

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/userns"
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

	// What the kernel has, and the runtime makes use of.
	CgroupV2          bool
	SwapAccounting    bool // there is a memory.swap.max
	AppArmor          bool
	SELinux           bool
	RecursiveReadOnly bool // mounts, mount_setattr with AT_RECURSIVE
	NoSeccomp         bool // the runtime says that it can't filter system calls

	// APIServer says that the kubelet is the client of an API server, which gives
	// it configMaps, secrets and tokens, and knows services.
	APIServer bool

	// IDRange returns the block of host ids that belongs to a pod with
	// hostUsers: false, as [userns.Allocator.Get] does. When it is nil such
	// pods are refused.
	IDRange func(uid types.UID) (userns.Range, error)
}
