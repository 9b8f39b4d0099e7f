package openapi

import (
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// enums are the types that have no other values than their constants, by which `kubectl
// explain` lists them. Upstream's have the comment +enum. (Signals are left out, which are
// many.)
var enums = byType(
	oneOf(corev1.AppArmorProfileTypeUnconfined, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeLocalhost),
	oneOf(corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite),
	oneOf(corev1.AzureSharedBlobDisk, corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk),
	oneOf(corev1.ClaimPending, corev1.ClaimBound, corev1.ClaimLost),
	oneOf(corev1.DefaultProcMount, corev1.UnmaskedProcMount),
	oneOf(corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone),
	oneOf(corev1.DoNotSchedule, corev1.ScheduleAnyway),
	oneOf(corev1.FSGroupChangeOnRootMismatch, corev1.FSGroupChangeAlways),
	oneOf(corev1.GRPCProbeModePlaintext, corev1.GRPCProbeModeTLS),
	oneOf(corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory, corev1.HostPathFileOrCreate, corev1.HostPathFile,
		corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev),
	oneOf(corev1.HTTPProtocolHTTP1, corev1.HTTPProtocolHTTP2),
	oneOf(corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack),
	oneOf(corev1.IPFamilyUnknown, corev1.IPv4Protocol, corev1.IPv6Protocol),
	oneOf(corev1.MountPropagationNone, corev1.MountPropagationHostToContainer, corev1.MountPropagationBidirectional),
	oneOf(corev1.NamespaceActive, corev1.NamespaceTerminating),
	oneOf(corev1.NodeInclusionPolicyIgnore, corev1.NodeInclusionPolicyHonor),
	oneOf(corev1.NodePending, corev1.NodeRunning, corev1.NodeTerminated),
	oneOf(corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt),
	oneOf(corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem),
	oneOf(corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown),
	oneOf(corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort),
	oneOf(corev1.PreemptLowerPriority, corev1.PreemptNever),
	oneOf(corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP),
	oneOf(corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever),
	oneOf(corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod),
	oneOf(corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity, corev1.ResourceQuotaScopeVolumeAttributesClass),
	oneOf(corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever),
	oneOf(corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn, corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist),
	oneOf(corev1.SeccompProfileTypeUnconfined, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeLocalhost),
	oneOf(corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone),
	oneOf(corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal),
	oneOf(corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal),
	oneOf(corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName),
	oneOf(corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict),
	oneOf(corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute),
	oneOf(corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError),
	oneOf(corev1.TolerationOpExists, corev1.TolerationOpEqual, corev1.TolerationOpLt, corev1.TolerationOpGt),
	oneOf(corev1.URISchemeHTTP, corev1.URISchemeHTTPS),
	oneOf(corev1.VolumeHealthInaccessible, corev1.VolumeHealthDataLoss, corev1.VolumeHealthDegraded),
)

type enum struct {
	of     reflect.Type
	values []any
}

// oneOf is a type with its values, in the order of the alphabet.
func oneOf[T ~string](values ...T) enum {
	e := enum{of: reflect.TypeFor[T]()}
	for _, v := range slices.Sorted(slices.Values(values)) {
		e.values = append(e.values, string(v))
	}
	return e
}

func byType(list ...enum) map[reflect.Type][]any {
	all := map[reflect.Type][]any{}
	for _, e := range list {
		all[e.of] = e.values
	}
	return all
}
