package admission

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/fakeserver"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// req describes a request: OPERATION [NAMESPACE:]RESOURCE[.GROUP][/NAME][#SUBRESOURCE].
func req(t *testing.T, server *fakeserver.Server, sentence string, obj, old resource.Object) *resource.Request {
	t.Helper()
	operation, what, ok := strings.Cut(sentence, " ")
	if !ok {
		t.Fatalf("%q", sentence)
	}
	r := &resource.Request{Operation: resource.Operation(strings.ToUpper(operation)), Server: server, Memory: server, Object: obj, Old: old}
	what, r.Subresource, _ = strings.Cut(what, "#")
	what, r.Name, _ = strings.Cut(what, "/")
	if namespace, rest, ok := strings.Cut(what, ":"); ok {
		r.Namespace, what = namespace, rest
	}
	name, group, _ := strings.Cut(what, ".")
	r.Resource = &resource.Resource{GroupVersionKind: schema.GroupVersionKind{Group: group, Version: "v1"}, Name: name}
	return r
}

func pod(t *testing.T, text string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(text), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want it to be admitted", err)
	case want != "" && (err == nil || !strings.HasSuffix(err.Error(), want)):
		t.Errorf("got %v, want %q", err, want)
	case err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown:
		t.Errorf("%v is no Status error", err)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	s := &fakeserver.Server{}
	s.Add(namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "going"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}})
	for _, c := range []struct{ asks, want string }{
		{"create shop:pods/a", ""},
		{"create none:pods/a", `namespaces "none" not found`},
		{"create going:pods/a", `pods "a" is forbidden: unable to create new content in namespace going because it is being terminated`},
		{"create going:localsubjectaccessreviews.authorization.k8s.io", ""},
		{"create nodes/a", ""},
		{"update going:pods/a", ""},
		{"delete none:pods/a", ""},
		{"delete namespaces/shop", ""},
		{"delete namespaces/kube-system", `namespaces "kube-system" is forbidden: this namespace may not be deleted`},
		{"delete namespaces/default", `namespaces "default" is forbidden: this namespace may not be deleted`},
		{"create namespaces/new", ""},
	} {
		t.Run(c.asks, func(t *testing.T) {
			check(t, NamespaceLifecycle{}.Admit(t.Context(), req(t, s, c.asks, nil, nil)), c.want)
		})
	}
	err := NamespaceLifecycle{}.Admit(t.Context(), req(t, s, "create going:pods/a", nil, nil))
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("%v does not tell a controller that it may stop", err)
	}
}

func TestServiceAccount(t *testing.T) {
	no := false
	s := &fakeserver.Server{}
	s.Add(serviceAccounts,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quiet"}, AutomountServiceAccountToken: &no})
	const volume = `{name: kube-api-access-x, projected: {defaultMode: 420, sources: [
		{serviceAccountToken: {path: token, expirationSeconds: 3607}},
		{configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}},
		{downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}}]}}`
	const mount = `{name: kube-api-access-x, readOnly: true, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}`
	for _, c := range []struct{ name, pod, want, err string }{
		{"default", `{metadata: {name: a}, spec: {containers: [{name: c}], initContainers: [{name: i}]}}`,
			`{metadata: {name: a}, spec: {serviceAccountName: default, serviceAccount: default, imagePullSecrets: [{name: pull}],
				containers: [{name: c, volumeMounts: [` + mount + `]}], initContainers: [{name: i, volumeMounts: [` + mount + `]}], volumes: [` + volume + `]}}`, ""},
		{"an account that declines", `{metadata: {name: a}, spec: {serviceAccountName: quiet, containers: [{name: c}]}}`,
			`{metadata: {name: a}, spec: {serviceAccountName: quiet, serviceAccount: quiet, containers: [{name: c}]}}`, ""},
		{"a pod that wants it all the same", `{metadata: {name: a}, spec: {automountServiceAccountToken: true, serviceAccountName: quiet, containers: [{name: c}]}}`,
			`{metadata: {name: a}, spec: {automountServiceAccountToken: true, serviceAccountName: quiet, serviceAccount: quiet, containers: [{name: c, volumeMounts: [` + mount + `]}], volumes: [` + volume + `]}}`, ""},
		{"a pod that declines, with a secret of its own to pull by", `{metadata: {name: a}, spec: {automountServiceAccountToken: false, imagePullSecrets: [{name: own}], containers: [{name: c}]}}`,
			`{metadata: {name: a}, spec: {automountServiceAccountToken: false, imagePullSecrets: [{name: own}], serviceAccountName: default, serviceAccount: default, containers: [{name: c}]}}`, ""},
		{"something else at its place", `{metadata: {name: a}, spec: {serviceAccountName: default, containers: [{name: c, volumeMounts: [{name: v, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]}]}}`,
			`{metadata: {name: a}, spec: {serviceAccountName: default, serviceAccount: default, imagePullSecrets: [{name: pull}], containers: [{name: c, volumeMounts: [{name: v, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]}]}}`, ""},
		{"a volume of that name", `{metadata: {name: a}, spec: {containers: [{name: c}], volumes: [{name: kube-api-access-x, emptyDir: {}}]}}`,
			`{metadata: {name: a}, spec: {serviceAccountName: default, serviceAccount: default, imagePullSecrets: [{name: pull}], containers: [{name: c, volumeMounts: [` + mount + `]}], volumes: [{name: kube-api-access-x, emptyDir: {}}]}}`, ""},
		{"no such account", `{metadata: {generateName: a-}, spec: {serviceAccountName: none}}`, "", `pods "a-" is forbidden: error looking up service account shop/none: serviceaccount "none" not found`},
		{"a mirror pod", `{metadata: {name: a, annotations: {kubernetes.io/config.mirror: x}}, spec: {containers: [{name: c}]}}`,
			`{metadata: {name: a, annotations: {kubernetes.io/config.mirror: x}}, spec: {containers: [{name: c}]}}`, ""},
		{"a mirror pod with an account", `{metadata: {name: a, annotations: {kubernetes.io/config.mirror: x}}, spec: {serviceAccountName: default}}`, "", "a mirror pod may not reference service accounts"},
		{"a mirror pod with a volume that takes a secret", `{metadata: {name: a, annotations: {kubernetes.io/config.mirror: x}}, spec: {containers: [{name: c}], volumes: [{name: v, iscsi: {targetPortal: "1.2.3.4", iqn: iqn.x, lun: 0, secretRef: {name: s}}}]}}`, "", "a mirror pod may not reference secrets"},
		{"a mirror pod with a secret", `{metadata: {name: a, annotations: {kubernetes.io/config.mirror: x}}, spec: {containers: [{name: c, envFrom: [{secretRef: {name: s}}]}]}}`, "", "a mirror pod may not reference secrets"},
		{"a mirror pod with a token", `{metadata: {name: a, annotations: {kubernetes.io/config.mirror: x}}, spec: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}}`, "", "a mirror pod may not use ServiceAccountToken volume projections"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := pod(t, c.pod)
			err := ServiceAccount{}.Admit(t.Context(), req(t, s, "create shop:pods", got, nil))
			check(t, err, c.err)
			if err != nil {
				return
			}
			text, err := yaml.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range got.Spec.Volumes { // its name ends in a random word
				text = []byte(strings.ReplaceAll(string(text), v.Name, "kube-api-access-x"))
			}
			if got, want := pod(t, string(text)), pod(t, c.want); !equality.Semantic.DeepEqual(got, want) {
				w, _ := yaml.Marshal(want)
				t.Errorf("got\n%s\nwant\n%s", text, w)
			}
		})
	}
}

// TestThePodWaitsForItsAccount: who makes a namespace and a pod in it at once
// need not know that a controller works in between.
func TestThePodWaitsForItsAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeserver.Server{}
		go func() {
			time.Sleep(450 * time.Millisecond)
			s.Add(serviceAccounts, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "new", Name: "default"}})
		}()
		check(t, ServiceAccount{}.Admit(t.Context(), req(t, s, "create new:pods", pod(t, `{spec: {containers: [{name: c}]}}`), nil)), "")
		began := time.Now()
		check(t, ServiceAccount{}.Admit(t.Context(), req(t, s, "create other:pods", &corev1.Pod{}, nil)), `serviceaccount "default" not found`)
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("waited %v for an account that does not come", waited)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		check(t, ServiceAccount{}.Admit(ctx, req(t, s, "create other:pods", &corev1.Pod{}, nil)), context.Canceled.Error())
	})
}

// Who could not find out whether something is allowed has not refused it: the client comes again.
func TestAStoreThatIsAwayRefusesNothing(t *testing.T) {
	away := &fakeserver.Server{Err: apierrors.NewServerTimeout(pods, "get", 2)}
	ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: "system:node:node-1", Groups: []string{"system:nodes"}})
	account := pod(t, `{spec: {serviceAccountName: cart}}`)
	for _, c := range []struct {
		plugin resource.Admission
		r      *resource.Request
	}{
		{ServiceAccount{}, req(t, away, "create shop:pods", account, nil)},
		{NodeRestriction{}, req(t, away, "delete shop:pods/own", nil, account)},
		{Priority{}, req(t, away, "create shop:pods", account, nil)},
		{NamespaceLifecycle{}, req(t, away, "create shop:pods", account, nil)},
	} {
		if err := c.plugin.Admit(ctx, c.r); !apierrors.IsServerTimeout(err) {
			t.Errorf("%s: got %v, want the error of the store", c.plugin.Name(), err)
		}
	}
}

func TestNodeRestriction(t *testing.T) {
	s := &fakeserver.Server{}
	s.Add(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "n-1"}})
	own := pod(t, `{metadata: {namespace: shop, name: own, uid: p-1}, spec: {nodeName: node-1, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t, audience: vault}}, {serviceAccountToken: {path: u}}]}}]}}`)
	other := pod(t, `{metadata: {namespace: shop, name: other, uid: p-2}, spec: {nodeName: node-2}}`)
	s.Add(pods, own, other)
	const mirror = `metadata: {name: m, annotations: {kubernetes.io/config.mirror: x}, ownerReferences: [{apiVersion: v1, kind: Node, name: node-1, uid: n-1, controller: true}]}`
	owner := func(text string) *corev1.Pod {
		return pod(t, `{metadata: {annotations: {kubernetes.io/config.mirror: x}, ownerReferences: [`+text+`]}, spec: {nodeName: node-1}}`)
	}
	labelled := pod(t, `{metadata: {namespace: shop, name: own, labels: {a: b}}, spec: {nodeName: node-1}}`)
	claimed := own.DeepCopy()
	claimed.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "gpu"}}
	extended := own.DeepCopy()
	extended.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{}
	node := func(labels map[string]string, taints ...corev1.Taint) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: labels}, Spec: corev1.NodeSpec{Taints: taints}}
	}
	token := func(name string, uid types.UID, audiences ...string) *authenticationv1.TokenRequest {
		r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
		if name != "" {
			r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: name, UID: uid}
		}
		return r
	}
	owned := node(nil)
	owned.OwnerReferences = []metav1.OwnerReference{{Name: "x"}}
	for _, c := range []struct {
		asks     string
		obj, old resource.Object
		want     string
	}{
		{"create shop:pods", pod(t, `{`+mirror+`, spec: {nodeName: node-1}}`), nil, ""},
		{"create shop:pods", pod(t, `{metadata: {name: m}, spec: {nodeName: node-1}}`), nil, `pods "m" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "node-1" can only create mirror pods`},
		{"create shop:pods", pod(t, `{`+mirror+`, spec: {nodeName: node-2}}`), nil, `node "node-1" can only create pods with spec.nodeName set to itself`},
		{"create shop:pods", owner(``), nil, `node "node-1" can only create pods with an owner reference set to itself`},
		{"create shop:pods", owner(`{apiVersion: v1, kind: Node, name: node-1}, {apiVersion: v1, kind: Node, name: node-1}`), nil, `with a single owner reference set to itself`},
		{"create shop:pods", owner(`{apiVersion: v1, kind: Node, name: node-2}`), nil, `with an owner reference set to itself`},
		{"create shop:pods", owner(`{apiVersion: v1, kind: Node, name: node-1, uid: n-1}`), nil, `with a controller owner reference set to itself`},
		{"create shop:pods", owner(`{apiVersion: v1, kind: Node, name: node-1, uid: n-1, controller: true, blockOwnerDeletion: true}`), nil, `must not set blockOwnerDeletion on an owner reference`},
		{"create shop:pods", owner(`{apiVersion: v1, kind: Node, name: node-1, uid: n-0, controller: true}`), nil, `node node-1 UID mismatch: expected n-0 got n-1`},
		{"create shop:pods", pod(t, `{`+mirror+`, spec: {nodeName: node-1, volumes: [{name: v, configMap: {name: c}}]}}`), nil, `node "node-1" can not create pods that reference configmaps`},
		{"create shop:pods", pod(t, `{`+mirror+`, spec: {nodeName: node-1, volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]}}`), nil, `can not create pods that reference persistentvolumeclaims`},
		{"delete shop:pods/own", nil, own, ""},
		{"delete shop:pods/other", nil, other, `node "node-1" can only delete pods with spec.nodeName set to itself`},
		{"delete shop:pods/none", nil, nil, `pods "none" not found`},
		{"update shop:pods/own", own, own, `unexpected operation "UPDATE", node "node-1" can only create and delete mirror pods`},
		{"update shop:pods/own#status", own, own, ""},
		{"update shop:pods/other#status", other, other, `node "node-1" can only update pod status for pods with spec.nodeName set to itself`},
		{"update shop:pods/own#status", labelled, own, `node "node-1" cannot update labels through pod status`},
		{"update shop:pods/own#status", claimed, own, `node "node-1" cannot update resource claim statues`},
		{"update shop:pods/own#status", extended, own, `node "node-1" cannot update extended resource claim status`},
		{"create shop:pods/own#status", own, nil, `unexpected operation "CREATE"`},
		{"create shop:pods/own#eviction", nil, nil, ""},
		{"create shop:pods/other#eviction", nil, nil, `node node-1 can only evict pods with spec.nodeName set to itself`},
		{"create shop:pods/own#binding", nil, nil, `unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`},

		{"create nodes", node(map[string]string{"kubernetes.io/hostname": "a", "node.kubernetes.io/x": "a", "a.kubelet.kubernetes.io/x": "a", "mine": "a", "example.com/x": "a"}), nil, ""},
		{"create nodes", node(map[string]string{"node-role.kubernetes.io/control-plane": "", "a.node-restriction.kubernetes.io/x": "a"}), nil,
			`nodes "node-1" is forbidden: node "node-1" is not allowed to set the following labels: a.node-restriction.kubernetes.io/x, node-role.kubernetes.io/control-plane`},
		{"create nodes", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-2"}}, nil, `node "node-1" is not allowed to modify node "node-2"`},
		{"update nodes/node-1#status", node(nil), node(nil), ""},
		{"update nodes/node-1", node(nil), node(map[string]string{"k8s.io/x": ""}), `is not allowed to modify labels: k8s.io/x`},
		{"update nodes/node-1", node(nil), node(nil, corev1.Taint{Key: "a"}), `node "node-1" is not allowed to modify taints`},
		{"update nodes/node-1", owned, node(nil), `node "node-1" is not allowed to modify ownerReferences`},
		{"delete nodes/node-2", nil, node(nil), `node "node-1" is not allowed to modify node "node-2"`},
		{"delete nodes/node-1", nil, node(nil), ""},

		{"create kube-node-lease:leases.coordination.k8s.io", &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, nil, ""},
		{"create kube-node-lease:leases.coordination.k8s.io", &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "node-2"}}, nil, `can only access node lease with the same name as the requesting node`},
		{"create csinodes.storage.k8s.io", &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, nil, ""},
		{"create csinodes.storage.k8s.io", &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "node-2"}}, nil, `can only access CSINode with the same name as the requesting node`},
		{"create shop:leases.coordination.k8s.io", &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, nil, `can only access leases in the "kube-node-lease" system namespace`},

		{"create shop:serviceaccounts/default#token", token("own", "p-1"), nil, ""},
		{"create shop:serviceaccounts/default#token", token("own", "p-1", "vault"), nil, ""},
		{"create shop:serviceaccounts/default#token", token("own", "p-1", "bank"), nil, `system:node:node-1 is not authorized to request tokens for audience "bank"`},
		{"create shop:serviceaccounts/default#token", token("own", "p-1", "vault", "bank"), nil, "node may only request 0 or 1 audiences"},
		{"create shop:serviceaccounts/default#token", token("", ""), nil, "node requested token not bound to a pod"},
		{"create shop:serviceaccounts/default#token", token("own", ""), nil, "node requested token with a pod binding without a uid"},
		{"create shop:serviceaccounts/default#token", token("own", "p-2"), nil, "the UID in the bound object reference (p-2) does not match the UID in record. The object might have been deleted and then recreated"},
		{"create shop:serviceaccounts/default#token", token("other", "p-2"), nil, "node requested token bound to a pod scheduled on a different node"},
		{"create shop:serviceaccounts/default#token", token("none", "p-2"), nil, `pods "none" not found`},
		{"create shop:events", &corev1.Event{}, nil, ""},
	} {
		t.Run(c.asks, func(t *testing.T) {
			ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: "system:node:node-1", Groups: []string{"system:nodes"}})
			check(t, NodeRestriction{}.Admit(ctx, req(t, s, c.asks, c.obj, c.old)), c.want)
			admin := request.WithUser(t.Context(), &user.DefaultInfo{Name: "admin", Groups: []string{"system:masters"}})
			check(t, NodeRestriction{}.Admit(admin, req(t, s, c.asks, c.obj, c.old)), "")
		})
	}
	nameless := request.WithUser(t.Context(), &user.DefaultInfo{Name: "system:node:", Groups: []string{"system:nodes"}})
	check(t, NodeRestriction{}.Admit(nameless, req(t, s, "create nodes", node(nil), nil)), `could not determine node from user "system:node:"`)
}

func TestPriority(t *testing.T) {
	never := corev1.PreemptNever
	class := func(name string, value int32, isDefault bool) *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: isDefault, PreemptionPolicy: &never}
	}
	none, some := &fakeserver.Server{}, &fakeserver.Server{}
	some.Add(priorityClasses, class("high", 1000, false), class("usual", 10, true), class("two-defaults", 20, true))
	for _, c := range []struct{ name, pod, want, err string }{
		{"by name", `{spec: {priorityClassName: high}}`, `{spec: {priorityClassName: high, priority: 1000, preemptionPolicy: Never}}`, ""},
		{"the default", `{}`, `{spec: {priorityClassName: usual, priority: 10, preemptionPolicy: Never}}`, ""},
		{"the same number", `{spec: {priorityClassName: high, priority: 1000}}`, `{spec: {priorityClassName: high, priority: 1000, preemptionPolicy: Never}}`, ""},
		{"another number", `{spec: {priorityClassName: high, priority: 1001}}`, "", "the integer value of priority (1001) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name"},
		{"another policy", `{spec: {priorityClassName: high, preemptionPolicy: PreemptLowerPriority}}`, "", "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name"},
		{"no such class", `{metadata: {name: a}, spec: {priorityClassName: none}}`, "", `pods "a" is forbidden: no PriorityClass with name none was found`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := pod(t, c.pod)
			err := Priority{}.Admit(t.Context(), req(t, some, "create shop:pods", got, nil))
			check(t, err, c.err)
			if err == nil && !equality.Semantic.DeepEqual(got, pod(t, c.want)) {
				t.Errorf("got %+v", got.Spec)
			}
		})
	}
	got := &corev1.Pod{}
	check(t, Priority{}.Admit(t.Context(), req(t, none, "create shop:pods", got, nil)), "")
	if want := pod(t, `{spec: {priority: 0, preemptionPolicy: PreemptLowerPriority}}`); !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("without classes: got %+v", got.Spec)
	}
	changed := &corev1.Pod{}
	check(t, Priority{}.Admit(t.Context(), req(t, none, "update shop:pods/a", changed, got)), "")
	if !equality.Semantic.DeepEqual(changed, got) {
		t.Errorf("an update lost the priority: %+v", changed.Spec)
	}
	for _, c := range []struct {
		asks string
		obj  *schedulingv1.PriorityClass
		want string
	}{
		{"create priorityclasses.scheduling.k8s.io", class("second", 1, true), `priorityclasses.scheduling.k8s.io "second" is forbidden: PriorityClass usual is already marked as default. Only one default can exist`},
		{"create priorityclasses.scheduling.k8s.io", class("second", 1, false), ""},
		{"update priorityclasses.scheduling.k8s.io/usual", class("usual", 10, true), ""},
		{"update priorityclasses.scheduling.k8s.io/high", class("high", 10, true), "PriorityClass usual is already marked as default. Only one default can exist"},
	} {
		check(t, Priority{}.Admit(t.Context(), req(t, some, c.asks, c.obj, nil)), c.want)
	}
}

func TestDefaultTolerationSeconds(t *testing.T) {
	const notReady = `{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}`
	const unreachable = `{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}`
	for _, c := range []struct{ name, has, want string }{
		{"none", ``, notReady + `, ` + unreachable},
		{"all", `{operator: Exists}`, `{operator: Exists}`},
		{"one, for ever", `{key: node.kubernetes.io/not-ready, operator: Exists}`, `{key: node.kubernetes.io/not-ready, operator: Exists}, ` + unreachable},
		{"one of another effect", `{key: node.kubernetes.io/unreachable, effect: NoSchedule}`, `{key: node.kubernetes.io/unreachable, effect: NoSchedule}, ` + notReady + `, ` + unreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, want := pod(t, `{spec: {tolerations: [`+c.has+`]}}`), pod(t, `{spec: {tolerations: [`+c.want+`]}}`)
			check(t, DefaultTolerationSeconds{}.Admit(t.Context(), req(t, nil, "create shop:pods", got, nil)), "")
			if !equality.Semantic.DeepEqual(got.Spec, want.Spec) {
				t.Errorf("got %+v, want %+v", got.Spec.Tolerations, want.Spec.Tolerations)
			}
		})
	}
}

func TestRuntimeClass(t *testing.T) {
	s := &fakeserver.Server{}
	s.Add(runtimeClasses, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "vm"},
		Overhead: &nodev1.Overhead{PodFixed: corev1.ResourceList{"memory": apiresource.MustParse("128Mi")}},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"kvm": "yes"},
			Tolerations: []corev1.Toleration{{Key: "kvm", Operator: corev1.TolerationOpExists}}}},
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "plain"}})
	for _, c := range []struct{ name, pod, want, err string }{
		{"no class", `{}`, `{}`, ""},
		{"a class that costs nothing", `{spec: {runtimeClassName: plain}}`, `{spec: {runtimeClassName: plain}}`, ""},
		{"a class", `{spec: {runtimeClassName: vm}}`, `{spec: {runtimeClassName: vm, overhead: {memory: 128Mi}, nodeSelector: {kvm: "yes"}, tolerations: [{key: kvm, operator: Exists}]}}`, ""},
		{"what it needs is there", `{spec: {runtimeClassName: vm, nodeSelector: {a: b}, overhead: {memory: 128Mi}, tolerations: [{key: kvm, operator: Exists}]}}`,
			`{spec: {runtimeClassName: vm, overhead: {memory: 128Mi}, nodeSelector: {a: b, kvm: "yes"}, tolerations: [{key: kvm, operator: Exists}]}}`, ""},
		{"no such class", `{spec: {runtimeClassName: none}}`, "", `pod rejected: RuntimeClass "none" not found`},
		{"another overhead", `{spec: {runtimeClassName: vm, overhead: {memory: 1Mi}}}`, "", `pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead`},
		{"overhead of no class", `{spec: {overhead: {memory: 1Mi}}}`, "", `pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead`},
		{"another node", `{spec: {runtimeClassName: vm, nodeSelector: {kvm: "no"}}}`, "", `conflict: runtimeClass.scheduling.nodeSelector[kvm] = yes; pod.spec.nodeSelector[kvm] = no`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := pod(t, c.pod)
			err := RuntimeClass{}.Admit(t.Context(), req(t, s, "create shop:pods", got, nil))
			check(t, err, c.err)
			if err == nil && !equality.Semantic.DeepEqual(got, pod(t, c.want)) {
				t.Errorf("got %+v", got.Spec)
			}
		})
	}
}

// TestPluginsMindTheirOwnBusiness: every request of every resource passes by
// every plugin, with objects that it does not expect.
func TestTolerationsAreMerged(t *testing.T) {
	seconds := func(n int64) *int64 { return &n }
	toleration := func(key string, o corev1.TolerationOperator, value string, e corev1.TaintEffect, s *int64) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: o, Value: value, Effect: e, TolerationSeconds: s}
	}
	exists := toleration("a", corev1.TolerationOpExists, "", "", nil)
	equal := toleration("a", corev1.TolerationOpEqual, "b", corev1.TaintEffectNoSchedule, nil)
	long := toleration("a", corev1.TolerationOpExists, "", corev1.TaintEffectNoExecute, seconds(9))
	short := toleration("a", corev1.TolerationOpExists, "", corev1.TaintEffectNoExecute, seconds(3))
	for _, test := range []struct {
		name      string
		all, want []corev1.Toleration
	}{
		{"one and the same", []corev1.Toleration{equal, equal}, []corev1.Toleration{equal}},
		{"a wider one before", []corev1.Toleration{exists, equal}, []corev1.Toleration{exists}},
		{"a wider one after", []corev1.Toleration{equal, exists}, []corev1.Toleration{exists}},
		{"a longer one", []corev1.Toleration{short, long}, []corev1.Toleration{long}},
		{"other effects", []corev1.Toleration{equal, long}, []corev1.Toleration{equal, long}},
		{"all keys", []corev1.Toleration{equal, long, {Operator: corev1.TolerationOpExists}}, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}},
	} {
		if got := merged(test.all); !equality.Semantic.DeepEqual(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestPluginsMindTheirOwnBusiness(t *testing.T) {
	names := map[string]bool{}
	for _, a := range All() {
		names[a.Name()] = true
		for _, asks := range []string{"delete shop:pods/a", "create configmaps", "update shop:pods/a#status", "delete priorityclasses.scheduling.k8s.io/a", "create shop:pods/a#binding"} {
			r := req(t, &fakeserver.Server{}, asks, nil, nil)
			r.Namespace = "" // the namespace does not matter here
			check(t, a.Admit(t.Context(), r), "")
		}
	}
	if len(names) != 6 {
		t.Errorf("got the plugins %v, want six", names)
	}
}
