package dir

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// Annotations that mark a static pod, as upstream's pkg/kubelet/types names them.
const (
	annotationHash = "kubernetes.io/config.hash"
	annotationSeen = "kubernetes.io/config.seen"
)

// staticPod makes the pod of a manifest a pod of this node. Its UID follows from
// its content, so a changed manifest is another pod: the old one is stopped and
// the new one started. A UID in the manifest, where kubectl get -o yaml has put it,
// is that of the pod it was taken from, which may run here; upstream keeps it.
func staticPod(pod *corev1.Pod, node, path string) *corev1.Pod {
	pod = pod.DeepCopy()
	manifest.SetDefaults(pod)
	pod.UID = hash(pod, node, path)
	if pod.Name != "" { // else it is for validation to complain
		pod.Name += "-" + strings.ToLower(node)
	}
	if pod.Namespace == "" {
		pod.Namespace = corev1.NamespaceDefault
	}
	pod.Spec.NodeName = node
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[annotationHash] = string(pod.UID)
	pod.Annotations[podsource.Annotation] = "file"
	pod.Annotations[annotationSeen] = time.Now().Format(time.RFC3339Nano)

	// A static pod stays when its node has problems: it may be the cure.
	stay := corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
	if !slices.Contains(pod.Spec.Tolerations, stay) {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, stay)
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	return pod
}

// hash is 128 bits of the pod, the node and the file.
func hash(pod *corev1.Pod, node, path string) types.UID {
	h := fnv.New128a()
	_ = json.NewEncoder(h).Encode(pod) // a pod that was decoded can be encoded
	fmt.Fprintf(h, "host:%s", node)
	fmt.Fprintf(h, "file:%s", path)
	return types.UID(hex.EncodeToString(h.Sum(nil)))
}
