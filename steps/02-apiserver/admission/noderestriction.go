package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/authz"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// NodeRestriction holds a node to what its own words may be about: its Node and
// Lease and CSINode, the pods bound to it, and tokens for them. The authorizer has seen paths;
// here the objects are seen.
type NodeRestriction struct{}

// Name implements resource.Admission.
func (NodeRestriction) Name() string { return "NodeRestriction" }

// Admit implements resource.Admission.
func (NodeRestriction) Admit(ctx context.Context, r *resource.Request) error {
	who, _ := request.UserFrom(ctx)
	node, isNode := authz.NodeName(who)
	if !isNode {
		return nil
	}
	if node == "" {
		return forbidden(r, fmt.Errorf("could not determine node from user %q", who.GetName()))
	}
	var err error
	switch r.Resource.GroupResource() {
	case pods:
		err = nodePod(ctx, node, r)
	case nodes:
		err = nodeNode(node, r)
	case leases:
		err = nodeLease(node, r)
	case csiNodes:
		if nameOf(r) != node {
			err = errors.New("can only access CSINode with the same name as the requesting node")
		}
	case serviceAccounts:
		err = nodeToken(ctx, node, r)
	}
	if err == nil || apierrors.IsNotFound(err) {
		return err
	}
	return forbidden(r, err)
}

func nodePod(ctx context.Context, node string, r *resource.Request) error {
	switch {
	case r.Subresource == "status" && r.Operation == resource.Update:
		return nodePodStatus(node, r)
	case r.Subresource == "eviction" && r.Operation == resource.Create:
		return onNode(ctx, r, nameOf(r), node, fmt.Errorf("node %s can only evict pods with spec.nodeName set to itself", node))
	case r.Subresource == "status" || r.Subresource == "eviction":
		return fmt.Errorf("unexpected operation %q", r.Operation)
	case r.Subresource != "":
		return fmt.Errorf("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", r.Subresource)
	case r.Operation == resource.Create:
		return nodePodCreate(ctx, node, r)
	case r.Operation == resource.Delete:
		return onNode(ctx, r, r.Name, node, fmt.Errorf("node %q can only delete pods with spec.nodeName set to itself", node))
	}
	return fmt.Errorf("unexpected operation %q, node %q can only create and delete mirror pods", r.Operation, node)
}

// onNode refuses what is about a pod of another node.
func onNode(ctx context.Context, r *resource.Request, name, node string, refusal error) error {
	pod, err := r.Server.Get(ctx, pods, r.Namespace, name)
	if err != nil {
		return err
	}
	if pod.(*corev1.Pod).Spec.NodeName != node {
		return refusal
	}
	return nil
}

func nodePodStatus(node string, r *resource.Request) error {
	pod, old := r.Object.(*corev1.Pod), r.Old.(*corev1.Pod)
	switch {
	case old.Spec.NodeName != node:
		return fmt.Errorf("node %q can only update pod status for pods with spec.nodeName set to itself", node)
	case !maps.Equal(pod.Labels, old.Labels):
		return fmt.Errorf("node %q cannot update labels through pod status", node)
	case !equality.Semantic.DeepEqual(pod.Status.ResourceClaimStatuses, old.Status.ResourceClaimStatuses):
		return fmt.Errorf("node %q cannot update resource claim statues", node) // so upstream writes it
	case !equality.Semantic.DeepEqual(pod.Status.ExtendedResourceClaimStatus, old.Status.ExtendedResourceClaimStatus):
		return fmt.Errorf("node %q cannot update extended resource claim status", node)
	}
	return nil
}

// nodePodCreate: a node makes mirror pods of what it runs by itself, and they
// refer to nothing that it could then read.
func nodePodCreate(ctx context.Context, node string, r *resource.Request) error {
	pod := r.Object.(*corev1.Pod)
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		return fmt.Errorf("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	}
	if pod.Spec.NodeName != node {
		return fmt.Errorf("node %q can only create pods with spec.nodeName set to itself", node)
	}
	if err := ownedByNode(ctx, node, pod, r.Server); err != nil {
		return err
	}
	if kinds := references(&pod.Spec); len(kinds) > 0 {
		return fmt.Errorf("node %q can not create pods that reference %s", node, kinds[0])
	}
	return nil
}

// ownedByNode: the pod goes when its node does.
func ownedByNode(ctx context.Context, node string, pod *corev1.Pod, server resource.Server) error {
	if len(pod.OwnerReferences) > 1 {
		return fmt.Errorf("node %q can only create pods with a single owner reference set to itself", node)
	}
	if len(pod.OwnerReferences) == 0 {
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", node)
	}
	owner := pod.OwnerReferences[0]
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != node:
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", node)
	case owner.Controller == nil || !*owner.Controller:
		return fmt.Errorf("node %q can only create pods with a controller owner reference set to itself", node)
	case owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion:
		return fmt.Errorf("node %q must not set blockOwnerDeletion on an owner reference", node)
	}
	found, err := server.Get(ctx, nodes, "", node)
	if err != nil {
		return err
	}
	if found.GetUID() != owner.UID {
		return fmt.Errorf("node %s UID mismatch: expected %s got %s", node, owner.UID, found.GetUID())
	}
	return nil
}

func nodeNode(node string, r *resource.Request) error {
	if name := nameOf(r); name != node {
		return fmt.Errorf("node %q is not allowed to modify node %q", node, name)
	}
	if r.Object == nil {
		return nil
	}
	n := r.Object.(*corev1.Node)
	if r.Operation == resource.Create {
		if bad := forbiddenLabels(n.Labels, nil); len(bad) > 0 {
			return fmt.Errorf("node %q is not allowed to set the following labels: %s", node, strings.Join(bad, ", "))
		}
		return nil
	}
	old := r.Old.(*corev1.Node)
	if !equality.Semantic.DeepEqual(n.Spec.Taints, old.Spec.Taints) {
		return fmt.Errorf("node %q is not allowed to modify taints", node)
	}
	if !equality.Semantic.DeepEqual(n.OwnerReferences, old.OwnerReferences) {
		return fmt.Errorf("node %q is not allowed to modify ownerReferences", node)
	}
	if bad := forbiddenLabels(n.Labels, old.Labels); len(bad) > 0 {
		return fmt.Errorf("is not allowed to modify labels: %s", strings.Join(bad, ", "))
	}
	return nil
}

// kubeletLabels are those of Kubernetes that a kubelet sets on its own Node.
var kubeletLabels = []string{
	corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable,
	corev1.LabelInstanceTypeStable, corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
	corev1.LabelInstanceType, corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
	"beta.kubernetes.io/os", "beta.kubernetes.io/arch",
}

// forbiddenLabels returns, in order, those that differ and that a node may not
// touch: by them, pods are steered to nodes that are trusted more.
func forbiddenLabels(labels, old map[string]string) (bad []string) {
	for key := range maps.Keys(union(labels, old)) {
		value, is := labels[key]
		before, was := old[key]
		if (is != was || value != before) && !nodeMaySet(key) {
			bad = append(bad, key)
		}
	}
	slices.Sort(bad)
	return bad
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(b)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, a)
	return all
}

func nodeMaySet(label string) bool {
	domain, _, ok := strings.Cut(label, "/")
	if !ok || slices.Contains(kubeletLabels, label) {
		return true
	}
	below := func(root string) bool { return domain == root || strings.HasSuffix(domain, "."+root) }
	switch {
	case below(corev1.LabelNamespaceNodeRestriction):
		return false
	case below("kubelet.kubernetes.io"), below("node.kubernetes.io"):
		return true
	}
	return !below("kubernetes.io") && !below("k8s.io")
}

func nodeLease(node string, r *resource.Request) error {
	switch {
	case r.Namespace != corev1.NamespaceNodeLease:
		return fmt.Errorf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	case nameOf(r) != node:
		return errors.New("can only access node lease with the same name as the requesting node")
	}
	return nil
}

// nodeToken: a token that a node asks for is for a pod that it runs, and dies with
// it; and it is for an audience that the pod wants one for.
func nodeToken(ctx context.Context, node string, r *resource.Request) error {
	if r.Subresource != "token" || r.Operation != resource.Create {
		return nil
	}
	request, ok := r.Object.(*authenticationv1.TokenRequest)
	if !ok {
		return fmt.Errorf("unexpected type %T", r.Object)
	}
	ref := request.Spec.BoundObjectRef
	switch {
	case ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "":
		return errors.New("node requested token not bound to a pod")
	case ref.UID == "":
		return errors.New("node requested token with a pod binding without a uid")
	}
	found, err := r.Server.Get(ctx, pods, r.Namespace, ref.Name)
	if err != nil {
		return err
	}
	pod := found.(*corev1.Pod)
	switch {
	case pod.UID != ref.UID:
		return fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case pod.Spec.NodeName != node:
		return errors.New("node requested token bound to a pod scheduled on a different node")
	case len(request.Spec.Audiences) > 1:
		return errors.New("node may only request 0 or 1 audiences")
	}
	audience := strings.Join(request.Spec.Audiences, "")
	if !wantsAudience(&pod.Spec, audience) {
		return fmt.Errorf("system:node:%s is not authorized to request tokens for audience %q", node, audience)
	}
	return nil
}

func wantsAudience(spec *corev1.PodSpec, audience string) bool {
	for _, v := range spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == audience {
				return true
			}
		}
	}
	return false
}
