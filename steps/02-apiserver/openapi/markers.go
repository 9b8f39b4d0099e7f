package openapi

// The tables of this file hold what stands in the comments of upstream's types
// (+listType, +mapType, +optional) and in no tag, so that it can't be asked for.
// A test compares the result with upstream's own document.

// A listType is how lists of several writers become one: as a whole (atomic), as
// a set of values, or as a map of what the keys name.
type listType struct {
	kind string
	keys []string
}

const (
	core           = "io.k8s.api.core.v1."
	meta           = "io.k8s.apimachinery.pkg.apis.meta.v1."
	authentication = "io.k8s.api.authentication.v1."
)

// lists are those whose type does not follow from the tags for patches.
var lists = map[string]listType{
	core + "Container.ports":                                                  {"map", []string{"containerPort", "protocol"}},
	core + "EphemeralContainer.ports":                                         {"map", []string{"containerPort", "protocol"}},
	core + "EphemeralContainerCommon.ports":                                   {"map", []string{"containerPort", "protocol"}},
	core + "ServiceSpec.ports":                                                {"map", []string{"port", "protocol"}},
	core + "PodSpec.topologySpreadConstraints":                                {"map", []string{"topologyKey", "whenUnsatisfiable"}},
	core + "PodStatus.hostIPs":                                                {"atomic", nil},
	core + "PodStatus.volumeHealth":                                           {"map", []string{"name"}},
	core + "PodVolumeHealth.healthConditions":                                 {"map", []string{"status", "reason"}},
	core + "VolumeHealthStatus.healthConditions":                              {"map", []string{"status", "reason"}},
	core + "ResourceRequirements.claims":                                      {"map", []string{"name"}},
	"io.k8s.api.resource.v1.ResourceClaimStatus.devices":                      {"map", []string{"driver", "device", "pool", "shareID"}},
	"io.k8s.api.resource.v1.ResourceSliceSpec.skipNodeOperations":             {"set", nil},
	"io.k8s.api.storage.v1.CSIDriverSpec.volumeLifecycleModes":                {"set", nil},
	"io.k8s.api.resource.v1.AllocatedDeviceStatus.conditions":                 {"map", []string{"type"}},
	"io.k8s.api.resource.v1.DeviceRequestAllocationResult.skipNodeOperations": {"set", nil},
	core + "ResourceStatus.resources":                                         {"map", []string{"resourceID"}},
	core + "ContainerRestartRuleOnExitCodes.values":                           {"set", nil},
	core + "NodeAllocatableResourceClaimStatus.containers":                    {"set", nil},
	core + "NodePodPreemptionPolicy.disableResizePreemption":                  {"set", nil},
	core + "VolumeMount.bindMountOptions":                                     {"set", nil},
}

// atomicTypes are structs that have one owner, as if they were a value.
var atomicTypes = map[string]bool{
	core + "ConfigMapKeySelector":      true,
	core + "EndpointAddress":           true,
	core + "EndpointPort":              true,
	core + "EvictionResponder":         true,
	core + "FileKeySelector":           true,
	core + "LocalObjectReference":      true,
	core + "NodeSelector":              true,
	core + "NodeSelectorTerm":          true,
	core + "ObjectFieldSelector":       true,
	core + "ObjectReference":           true,
	core + "ResourceFieldSelector":     true,
	core + "ScopeSelector":             true,
	core + "SecretKeySelector":         true,
	core + "SecretReference":           true,
	core + "TopologySelectorTerm":      true,
	core + "TypedLocalObjectReference": true,
	meta + "LabelSelector":             true,
	meta + "OwnerReference":            true,
}

// atomicMaps are maps that have one owner.
var atomicMaps = map[string]bool{
	core + "PodSpec.nodeSelector":                true,
	core + "ReplicationControllerSpec.selector":  true,
	core + "ServiceSpec.selector":                true,
	"io.k8s.api.node.v1.Scheduling.nodeSelector": true,
}

// required are fields of which the tags say the opposite: those that JSON always
// has need not be written, and the others have to.
var required = map[string]bool{
	core + "ContainerImage.names":                                       false,
	core + "Event.reportingComponent":                                   false,
	core + "Event.reportingInstance":                                    false,
	core + "GRPCAction.service":                                         false,
	core + "NodeRuntimeHandler.name":                                    false,
	core + "ProjectedVolumeSource.sources":                              false,
	core + "TypedLocalObjectReference.apiGroup":                         false,
	core + "TypedObjectReference.apiGroup":                              false,
	authentication + "TokenRequest.spec":                                false,
	authentication + "TokenRequestSpec.audiences":                       false,
	authentication + "TokenRequestSpec.boundObjectRef":                  false,
	authentication + "TokenRequestSpec.expirationSeconds":               false,
	authentication + "TokenRequestStatus.expirationTimestamp":           false,
	authentication + "TokenRequestStatus.token":                         false,
	authentication + "TokenReviewSpec.token":                            true,
	"io.k8s.api.events.v1.Event.metadata":                               false,
	"io.k8s.api.scheduling.v1.PriorityClass.value":                      false,
	core + "ContainerRestartRule.action":                                true,
	core + "ContainerRestartRuleOnExitCodes.operator":                   true,
	core + "ImageVolumeStatus.imageRef":                                 true,
	core + "PodCertificateProjection.signerName":                        true,
	core + "PodCertificateProjection.keyType":                           true,
	"io.k8s.api.apps.v1.ReplicaSet.spec":                                true,
	"io.k8s.api.apps.v1.ReplicaSetCondition.status":                     false,
	"io.k8s.api.apps.v1.ReplicaSetCondition.type":                       false,
	"io.k8s.api.apps.v1.StatefulSet.spec":                               true,
	"io.k8s.api.apps.v1.StatefulSetCondition.status":                    false,
	"io.k8s.api.apps.v1.StatefulSetCondition.type":                      false,
	"io.k8s.api.apps.v1.StatefulSetOrdinals.start":                      false,
	"io.k8s.api.apps.v1.StatefulSetSpec.serviceName":                    false,
	"io.k8s.api.apps.v1.StatefulSetStatus.availableReplicas":            false,
	core + "AzureFilePersistentVolumeSource.secretNamespace":            false,
	"io.k8s.api.policy.v1.PodDisruptionBudgetStatus.currentHealthy":     false,
	"io.k8s.api.policy.v1.PodDisruptionBudgetStatus.desiredHealthy":     false,
	"io.k8s.api.policy.v1.PodDisruptionBudgetStatus.disruptionsAllowed": false,
	"io.k8s.api.policy.v1.PodDisruptionBudgetStatus.expectedPods":       false,
	"io.k8s.api.resource.v1.AllocatedDeviceStatus.conditions":           false,
	"io.k8s.api.resource.v1.CapacityRequestPolicy.default":              false,
	"io.k8s.api.resource.v1.CapacityRequestPolicyRange.min":             true,
	"io.k8s.api.resource.v1.CounterSet.counters":                        true,
	"io.k8s.api.resource.v1.DeviceClaim.requests":                       false,
	"io.k8s.api.resource.v1.DeviceClass.spec":                           false,
	"io.k8s.api.resource.v1.DeviceCounterConsumption.counters":          true,
	"io.k8s.api.resource.v1.DeviceTaintRuleSpec.taint":                  true,
	"io.k8s.api.resource.v1.ResourceClaim.spec":                         false,
	"io.k8s.api.resource.v1.ResourceClaimSpec.devices":                  false,
	"io.k8s.api.storage.v1.CSINodeDriver.topologyKeys":                  false,
}

// opaque are structs whose JSON has nothing to do with their fields.
var opaque = map[string]bool{
	meta + "FieldsV1": true,
	"io.k8s.apimachinery.pkg.runtime.RawExtension": true,
}

// descriptions are of types that bring no words of their own.
var descriptions = map[string]string{
	"io.k8s.apimachinery.pkg.api.resource.Quantity": "Quantity is an amount of a resource: a number with or without a suffix. " +
		"Suffixes are m for thousandths, k, M, G, T, P, E for powers of 1000, and Ki, Mi, Gi, Ti, Pi, Ei for powers of 1024; " +
		"1500m and 1.5 are the same. It has at most three decimal places, and is returned with the largest suffix that loses nothing.",
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString": "IntOrString is a number or a name, such as a port or a percentage.",
	"io.k8s.apimachinery.pkg.runtime.RawExtension":    "RawExtension is an object of any kind.",
	meta + "FieldsV1":  "FieldsV1 is a set of fields as a tree: each key is f:NAME of a field, k:KEYS or v:VALUE of an item of a list, or . for the field itself.",
	meta + "Time":      "Time is a moment in UTC, to the second, as of RFC 3339.",
	meta + "MicroTime": "MicroTime is a moment in UTC, to the microsecond.",
	meta + "Duration":  "Duration is a span of time, such as 1h30m.",
}
