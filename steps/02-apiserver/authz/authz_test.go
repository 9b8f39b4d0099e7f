package authz

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func known(name string, groups ...string) user.Info {
	return &user.DefaultInfo{Name: name, Groups: append(groups, user.AllAuthenticated)}
}

var (
	admin   = known("kubernetes-admin", "system:masters")
	node1   = known("system:node:node-1", "system:nodes")
	cart    = known("system:serviceaccount:shop:cart", "system:serviceaccounts", "system:serviceaccounts:shop")
	alice   = known("alice")
	nobody  = &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}
	sched   = known("system:kube-scheduler")
	manager = known("system:kube-controller-manager")
)

// ask reads requests as kubectl's `auth can-i` writes them: a verb, then a path,
// or a resource as [NAMESPACE:]RESOURCE[.GROUP][/NAME][#SUBRESOURCE] and
// perhaps a field selector after a question mark.
func ask(t *testing.T, who user.Info, sentence string) authorizer.AttributesRecord {
	t.Helper()
	verb, what, ok := strings.Cut(sentence, " ")
	if !ok {
		t.Fatalf("%q", sentence)
	}
	a := authorizer.AttributesRecord{User: who, Verb: verb}
	if strings.HasPrefix(what, "/") {
		a.Path = what
		return a
	}
	a.ResourceRequest = true
	what, selector, _ := strings.Cut(what, "?")
	what, a.Subresource, _ = strings.Cut(what, "#")
	what, a.Name, _ = strings.Cut(what, "/")
	if namespace, rest, ok := strings.Cut(what, ":"); ok {
		a.Namespace, what = namespace, rest
	}
	a.Resource, a.APIGroup, _ = strings.Cut(what, ".")
	if selector != "" {
		parsed, err := fields.ParseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		a.FieldSelectorRequirements = parsed.Requirements()
	}
	return a
}

func policy(t *testing.T) Policy {
	t.Helper()
	p, err := parsePolicy(strings.NewReader(`
# what the shop needs
{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"user": "system:serviceaccount:shop:cart", "namespace": "shop", "resource": "configmaps", "readonly": true}}
{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"group": "system:serviceaccounts:tools", "namespace": "*", "apiGroup": "*", "resource": "*"}}
{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"user": "*", "group": "readers", "nonResourcePath": "/logs*", "readonly": true}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// all is the list as the server has it, with one pod on node-1.
func all(t *testing.T) Union {
	graph := &Graph{}
	graph.Set(shopPod())
	return Union{Everything{user.SystemPrivilegedGroup}, Nodes{graph}, Bootstrap(), policy(t)}
}

func shopPod() *corev1.Pod {
	ref := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-0"}, Spec: corev1.PodSpec{
		NodeName: "node-1", ServiceAccountName: "cart", ImagePullSecrets: []corev1.LocalObjectReference{ref("pull")},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "volume"}}},
			{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref("volume")}}},
			{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "disk"}}},
			{VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: &corev1.LocalObjectReference{Name: "csi"}}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{Secret: &corev1.SecretProjection{LocalObjectReference: ref("projected")}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: ref("projected")}}}}}},
		},
		InitContainers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("all-env")}}, {ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("all-env")}}}}},
		Containers: []corev1.Container{{Env: []corev1.EnvVar{
			{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref("env")}}},
			{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref("env")}}}}}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("debug")}}}}}},
	}}
}

func TestAuthorize(t *testing.T) {
	const no = "no"
	const strange = "no: no relationship found between node 'node-1' and this object"
	for _, c := range []struct {
		who  user.Info
		asks string
		want string // "", or no and the reason
	}{
		{admin, "delete kube-system:secrets/any", ""},
		{admin, "post /shutdown", ""},

		{nobody, "get /readyz", ""},
		{nobody, "get /livez/etcd", ""},
		{nobody, "get /version", ""},
		{nobody, "get /metrics", no},
		{nobody, "get /api", no},
		{nobody, "get /openid/v1/jwks", no},
		{nobody, "create selfsubjectreviews.authentication.k8s.io", no},
		{nobody, "list shop:pods", no},

		{alice, "get /apis/apps/v1", ""},
		{alice, "get /openapi/v3", ""},
		{alice, "get /openid/v1/jwks", no},
		{alice, "create selfsubjectaccessreviews.authorization.k8s.io", ""},
		{alice, "create subjectaccessreviews.authorization.k8s.io", no},
		{alice, "create tokenreviews.authentication.k8s.io", no},
		{alice, "get shop:pods/cart-0", no},

		{cart, "get /openid/v1/jwks", ""},
		{cart, "get shop:configmaps/prices", ""},
		{cart, "watch shop:configmaps", ""},
		{cart, "update shop:configmaps/prices", no},
		{cart, "list bank:configmaps", no},
		{cart, "list configmaps", no},
		{cart, "list shop:secrets", no},
		{cart, "list shop:configmaps.other.group", no},
		{cart, "get /logs", no},
		{known("x", "system:serviceaccounts:tools"), "delete nodes/node-1", ""},
		{known("x", "system:serviceaccounts:tools"), "create shop:deployments.apps", ""},
		{known("x", "readers"), "get /logs/a", ""},
		{known("x", "readers"), "post /logs/a", no},

		{sched, "watch pods", ""},
		{sched, "create shop:pods#binding", ""},
		{sched, "create shop:pods", no},
		{sched, "update shop:pods/a#status", ""},
		{sched, "update kube-system:leases.coordination.k8s.io/kube-scheduler", ""},
		{sched, "update kube-system:leases.coordination.k8s.io/other", no},
		{sched, "get shop:secrets/a", no},
		{manager, "delete shop:secrets/a", ""},
		{known("p", "system:monitoring"), "get /metrics", ""},

		{node1, "get shop:secrets/volume", ""},
		{node1, "get shop:secrets/pull", ""},
		{node1, "get shop:secrets/csi", ""},
		{node1, "get shop:secrets/projected", ""},
		{node1, "get shop:secrets/env", ""},
		{node1, "get shop:secrets/all-env", ""},
		{node1, "get shop:secrets/debug", ""},
		{node1, "watch shop:secrets/env", ""},
		{node1, "get shop:configmaps/volume", ""},
		{node1, "get shop:configmaps/projected", ""},
		{node1, "get shop:configmaps/env", ""},
		{node1, "get shop:configmaps/all-env", ""},
		{node1, "get shop:configmaps/pull", strange},
		{node1, "get bank:secrets/volume", strange},
		{node1, "list shop:secrets", "no: No Object name found"},
		{node1, "list secrets", "no: can only read namespaced object of this type"},
		{node1, "update shop:secrets/env", "no: can only read resources of this type"},
		{node1, "get shop:secrets/env#x", "no: cannot read subresource"},
		{node1, "get shop:persistentvolumeclaims/disk", ""},
		{node1, "list shop:persistentvolumeclaims/disk", "no: can only get individual resources of this type"},
		{node1, "create shop:serviceaccounts/cart#token", ""},
		{node1, "get shop:serviceaccounts/cart", ""},
		{node1, "create shop:serviceaccounts/till#token", strange},
		{node1, "create shop:serviceaccounts", "no: can only create tokens for individual service accounts"},
		{node1, "create shop:serviceaccounts/cart#x", "no: can only create token subresource of serviceaccount"},
		{node1, "create nodes", ""},
		{node1, "get nodes/node-1", ""},
		{node1, "patch nodes/node-1#status", ""},
		{node1, "get nodes/node-2", "no: node 'node-1' cannot read 'node-2', only its own Node object"},
		{node1, "list nodes", "no: node 'node-1' cannot read all nodes, only its own Node object"},
		{node1, "delete nodes/node-1", no},
		{node1, "get nodes/node-1#proxy", no},
		{node1, "get shop:pods/cart-0", ""},
		{node1, "get shop:pods/cart-1", strange},
		{node1, "list pods?spec.nodeName=node-1", ""},
		{node1, "watch pods?spec.nodeName=node-1,status.phase!=Failed", ""},
		{node1, "list pods?spec.nodeName=node-2", "no: can only list/watch pods with spec.nodeName field selector"},
		{node1, "list pods?spec.nodeName!=node-1", "no: can only list/watch pods with spec.nodeName field selector"},
		{node1, "list pods", "no: can only list/watch pods with spec.nodeName field selector"},
		{node1, "watch shop:pods/cart-0", ""},
		{node1, "create shop:pods", ""},
		{node1, "patch shop:pods/any#status", ""},
		{node1, "patch shop:pods/cart-0", no},
		{node1, "create shop:pods/cart-0#exec", no},
		{node1, "create shop:pods/cart-0#binding", no},
		{node1, "create kube-node-lease:leases.coordination.k8s.io", ""},
		{node1, "update kube-node-lease:leases.coordination.k8s.io/node-1", ""},
		{node1, "update kube-node-lease:leases.coordination.k8s.io/node-2", "no: can only access node lease with the same name as the requesting node"},
		{node1, "get kube-system:leases.coordination.k8s.io/node-1", `no: can only access leases in the "kube-node-lease" system namespace`},
		{node1, "list kube-node-lease:leases.coordination.k8s.io", "no: can only get, create, update, patch, or delete a node lease"},
		{node1, "create csinodes.storage.k8s.io", ""},
		{node1, "patch csinodes.storage.k8s.io/node-1", ""},
		{node1, "get csinodes.storage.k8s.io/node-2", "no: can only access CSINode with the same name as the requesting node"},
		{node1, "watch csinodes.storage.k8s.io", "no: can only get, create, update, patch, or delete a CSINode"},
		{node1, "watch services", ""},
		{node1, "create shop:events", ""},
		{node1, "delete shop:events/a", no},
		{node1, "get /api/v1", ""},
		{known("system:node:", "system:nodes"), "watch services", `no: unknown node for user "system:node:"`},
		{known("system:node:node-1"), "watch services", no}, // not of the group
		{known("node-1", "system:nodes"), "watch services", no},
	} {
		t.Run(c.who.GetName()+" "+c.asks, func(t *testing.T) {
			decision, reason, err := all(t).Authorize(t.Context(), ask(t, c.who, c.asks))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if decision != authorizer.DecisionAllow {
				got = no
				if reason = strings.TrimSuffix(strings.TrimSuffix(reason, "No policy matched."), "\n"); reason != "" {
					got += ": " + reason
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheGraphForgets(t *testing.T) {
	graph := &Graph{}
	secret := func(node, name string) bool { return graph.Related(node, "secrets", "shop", name) }
	first, second := shopPod(), shopPod()
	second.Name = "cart-1"
	graph.Set(first)
	graph.Set(second)
	graph.Set(second) // again, as a watch does
	graph.Delete("shop", "cart-0")
	if !secret("node-1", "env") {
		t.Error("the second pod needs the secret still")
	}
	second.Spec.Containers = nil
	graph.Set(second)
	if secret("node-1", "env") || !secret("node-1", "volume") {
		t.Error("the pod has changed, and the graph did not follow")
	}
	second.Spec.NodeName = ""
	graph.Set(second)
	if secret("node-1", "volume") || len(graph.nodes)+len(graph.pods) != 0 {
		t.Errorf("the graph does not forget: %v", graph.nodes)
	}
	mirror := shopPod()
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	graph.Set(mirror)
	if secret("node-1", "volume") || !graph.Related("node-1", "pods", "shop", "cart-0") {
		t.Error("a mirror pod opens what it refers to, or is not its node's")
	}
	graph.Delete("shop", "none")
}

func TestPolicyFile(t *testing.T) {
	line := func(spec string) string {
		return `{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": ` + spec + `}`
	}
	for _, c := range []struct{ name, text, want string }{
		{"good", line(`{"user": "u", "resource": "pods"}`), ""},
		{"comments", "\n  # nothing\n\n", ""},
		{"not JSON", "\nuser alice", "line 2: invalid character"},
		{"two in a line", line(`{"user": "u"}`) + line(`{"user": "v"}`), "line 1: more than one object"},
		{"a misspelt field", line(`{"user": "u", "readOnly": true, "namespaces": "x"}`), `unknown field "namespaces"`},
		{"for nobody", line(`{"resource": "*"}`), "it is for nobody"},
		{"another kind", `{"apiVersion": "v1", "kind": "Pod"}`, `got kind "Pod" of "v1"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parsePolicy(strings.NewReader(c.text))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := ReadPolicy("/nowhere/policy"); err == nil {
		t.Error("a file that is not there was read")
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(`{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"user": "u", "resource": "pods"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePolicy(strings.NewReader(text))
		if err != nil {
			return
		}
		decision, _, _ := p.Authorize(context.Background(), authorizer.AttributesRecord{User: &user.DefaultInfo{}, Verb: "get", Resource: "pods", ResourceRequest: true})
		if decision == authorizer.DecisionAllow && !strings.Contains(text, `*`) {
			t.Errorf("a user without a name or group is allowed by %q", text)
		}
	})
}
