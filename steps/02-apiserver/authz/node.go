package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Nodes decides for the kubelets. Whoever breaks out of a container onto its
// node has the kubelet's certificate, and should get no further than the kubelet: to
// its own Node and Lease, to the pods that are bound there, and to what those
// pods refer to. What a request writes is decided by admission (noderestriction).
//
// Upstream: plugin/pkg/auth/authorizer/node.
type Nodes struct{ Graph *Graph }

// nodeRules is what every node may do without regard to its pods.
var nodeRules = []rbacv1.PolicyRule{
	resources("", read, "services"),
	resources("", []string{"create", "update", "patch"}, "events"),
	resources("events.k8s.io", []string{"create", "update", "patch"}, "events"),
	resources("node.k8s.io", read, "runtimeclasses"),
	resources("storage.k8s.io", read, "csidrivers"),
	resources("authentication.k8s.io", []string{"create"}, "tokenreviews"),
	resources("authorization.k8s.io", []string{"create"}, "subjectaccessreviews", "localsubjectaccessreviews"),
}

// NodeName returns the node that the user is. isNode and no name is one that has
// the group and not the name of nodes.
func NodeName(who user.Info) (name string, isNode bool) {
	if who == nil || !slices.Contains(who.GetGroups(), user.NodesGroup) {
		return "", false
	}
	name, ok := strings.CutPrefix(who.GetName(), "system:node:")
	return name, ok
}

// Authorize implements Member.
func (n Nodes) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	name, isNode := NodeName(a.GetUser())
	switch {
	case !isNode:
		return authorizer.DecisionNoOpinion, "", nil
	case name == "":
		return authorizer.DecisionNoOpinion, fmt.Sprintf("unknown node for user %q", a.GetUser().GetName()), nil
	}
	allowed, reason := n.decide(name, a)
	if allowed {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, reason, nil
}

// RulesFor implements Member: what a node may do depends on its pods.
func (n Nodes) RulesFor(_ context.Context, who user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if _, isNode := NodeName(who); isNode {
		return nil, nil, true, errors.New("node authorizer does not support user rule resolution")
	}
	return nil, nil, false, nil
}

func (n Nodes) decide(node string, a authorizer.Attributes) (allowed bool, reason string) {
	if a.IsResourceRequest() {
		switch (schema.GroupResource{Group: a.GetAPIGroup(), Resource: a.GetResource()}) {
		case schema.GroupResource{Resource: "secrets"}, schema.GroupResource{Resource: "configmaps"}:
			return n.readNamed(node, a)
		case schema.GroupResource{Resource: "persistentvolumeclaims"}:
			return n.getNamed(node, a)
		case schema.GroupResource{Resource: "serviceaccounts"}:
			return n.serviceAccount(node, a)
		case schema.GroupResource{Resource: "nodes"}:
			return ownNode(node, a)
		case schema.GroupResource{Resource: "pods"}:
			return n.pod(node, a)
		case schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
			return ownLease(node, a)
		case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
			return ownCSINode(node, a)
		}
	}
	return Allows(nodeRules, a), ""
}

// related: an object is the node's concern if a pod there refers to it.
func (n Nodes) related(node string, a authorizer.Attributes) (bool, string) {
	if a.GetName() == "" {
		return false, "No Object name found"
	}
	if !n.Graph.Related(node, a.GetResource(), a.GetNamespace(), a.GetName()) {
		return false, fmt.Sprintf("no relationship found between node '%s' and this object", node)
	}
	return true, ""
}

// readNamed: a list or watch of one name is as good as a get, of more it is not.
func (n Nodes) readNamed(node string, a authorizer.Attributes) (bool, string) {
	switch {
	case !a.IsReadOnly():
		return false, "can only read resources of this type"
	case a.GetSubresource() != "":
		return false, "cannot read subresource"
	case a.GetNamespace() == "":
		return false, "can only read namespaced object of this type"
	}
	return n.related(node, a)
}

func (n Nodes) getNamed(node string, a authorizer.Attributes) (bool, string) {
	switch {
	case a.GetVerb() != "get":
		return false, "can only get individual resources of this type"
	case a.GetSubresource() != "":
		return false, "cannot get subresource"
	}
	return n.related(node, a)
}

// serviceAccount: tokens for the pods of the node.
func (n Nodes) serviceAccount(node string, a authorizer.Attributes) (bool, string) {
	switch {
	case a.GetVerb() == "get" && a.GetSubresource() == "":
		return n.readNamed(node, a)
	case a.GetVerb() != "create" || a.GetName() == "":
		return false, "can only create tokens for individual service accounts"
	case a.GetSubresource() != "token":
		return false, "can only create token subresource of serviceaccount"
	}
	return n.related(node, a)
}

// ownLease: a create has no name in its path, and is looked at by admission.
func ownLease(node string, a authorizer.Attributes) (bool, string) {
	switch {
	case !slices.Contains([]string{"get", "create", "update", "patch", "delete"}, a.GetVerb()):
		return false, "can only get, create, update, patch, or delete a node lease"
	case a.GetNamespace() != corev1.NamespaceNodeLease:
		return false, fmt.Sprintf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	case a.GetVerb() != "create" && a.GetName() != node:
		return false, "can only access node lease with the same name as the requesting node"
	}
	return true, ""
}

// ownCSINode: what the storage drivers of the node say of it, in a step that has the row.
func ownCSINode(node string, a authorizer.Attributes) (bool, string) {
	switch {
	case a.GetSubresource() == "status":
		return false, "CSINode status access requires CSIVolumeHealth feature" // of upstream's, which is off
	case a.GetSubresource() != "":
		return false, "cannot authorize CSINode subresources"
	case !slices.Contains([]string{"get", "create", "update", "patch", "delete"}, a.GetVerb()):
		return false, "can only get, create, update, patch, or delete a CSINode"
	case a.GetVerb() != "create" && a.GetName() != node:
		return false, "can only access CSINode with the same name as the requesting node"
	}
	return true, ""
}

// ownNode: which Node is written is looked at by admission.
func ownNode(node string, a authorizer.Attributes) (bool, string) {
	switch a.GetSubresource() + " " + a.GetVerb() {
	case " create", " update", " patch", "status update", "status patch":
		return true, ""
	case " get", " list", " watch":
		switch a.GetName() {
		case node:
			return true, ""
		case "":
			return false, fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", node)
		}
		return false, fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", node, a.GetName())
	}
	return false, ""
}

// pod: which pod is made, deleted or reported about is looked at by admission.
func (n Nodes) pod(node string, a authorizer.Attributes) (bool, string) {
	switch a.GetSubresource() + " " + a.GetVerb() {
	case " create", " delete", "status update", "status patch", "eviction create":
		return true, ""
	case " get":
		return n.related(node, a)
	case " list", " watch":
		if selectsNode(a, node) {
			return true, ""
		}
		if a.GetName() != "" {
			return n.related(node, a)
		}
		return false, "can only list/watch pods with spec.nodeName field selector"
	}
	return false, ""
}

// selectsNode says whether nothing but pods of the node is asked for.
func selectsNode(a authorizer.Attributes, node string) bool {
	requirements, _ := a.GetFieldSelector() // those that could be read only make less of the answer
	for _, r := range requirements {
		if r.Field == "spec.nodeName" && r.Operator == selection.Equals && r.Value == node {
			return true
		}
	}
	return false
}
