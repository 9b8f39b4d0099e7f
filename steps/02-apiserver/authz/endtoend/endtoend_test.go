// Package endtoend asks kube-apiserver, as it is built and started, who may do
// what: administrators, nodes, service accounts and strangers, by client-go.
package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/fakekubelet"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
)

const patience = 20 * time.Second

func TestSecurity(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "kube-apiserver")
	build := exec.Command("go", "build", "-o", bin, "../../cmd/kube-apiserver")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	c := start(t, bin)
	for _, one := range []struct {
		name string
		test func(*testing.T, *cluster)
	}{
		{"strangers", strangers},
		{"a node sees and touches what is its own", node},
		{"the life of a token", token},
		{"the token of a pod", podToken},
		{"grants of the policy file", policy},
		{"exec and logs through the server", streams},
		{"to act as another", impersonation},
		{"no custom resources", customResources},
	} {
		t.Run(one.name, func(t *testing.T) { one.test(t, c) })
	}
}

// A cluster is a running server and its authority.
type cluster struct {
	dir   string
	url   string
	admin *rest.Config
	root  *kubernetes.Clientset
}

// start runs the server on a port that was free a moment ago, until the test ends.
func start(t *testing.T, bin string) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	c.url = "https://127.0.0.1:" + port
	grants := filepath.Join(c.dir, "policy")
	const line = `{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": {"user": "system:serviceaccount:default:reader", "namespace": "default", "resource": "*", "readonly": true}}`
	if err := os.WriteFile(grants, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(bin, "--data-dir", c.dir, "--secure-port", port, "--authorization-mode", "Node,ABAC", "--authorization-policy-file", grants)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		err := <-ended
		if err != nil || t.Failed() {
			t.Logf("kube-apiserver: %v\n%s", err, log.String())
		}
	})
	eventually(t, "the server is ready", func() error {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("kube-apiserver ended: %v", err)
		default:
		}
		if c.admin, err = clientcmd.BuildConfigFromFlags("", filepath.Join(c.dir, "admin.kubeconfig")); err != nil {
			return err
		}
		c.root = client(t, c.admin)
		if _, err := c.root.RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context()); err != nil {
			return err
		}
		_, err = c.root.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return c
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func client(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// as is the cluster for one with a certificate.
func (c *cluster) as(t *testing.T, l pki.Leaf) *rest.Config {
	t.Helper()
	a, err := pki.Open(filepath.Join(c.dir, "pki"))
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err == nil {
		err = a.EnsureKubeconfig(path, c.url, l)
	}
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// bearing is the cluster for one with a token, or with nothing.
func (c *cluster) bearing(token string) *rest.Config {
	config := rest.AnonymousClientConfig(c.admin)
	config.BearerToken = token
	return config
}

func want(t *testing.T, what string, err error, message string) {
	t.Helper()
	if message == "" && err != nil || message != "" && (err == nil || !strings.Contains(err.Error(), message)) {
		t.Errorf("%s: got %v, want %q", what, err, message)
	}
}

func strangers(t *testing.T, c *cluster) {
	other, err := pki.Open(t.TempDir())
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err == nil {
		err = other.EnsureKubeconfig(path, c.url, pki.Leaf{User: "kubernetes-admin", Groups: []string{"system:masters"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	forged, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	forged.CAData = c.admin.CAData
	for name, config := range map[string]*rest.Config{"no credentials": c.bearing(""), "another authority's certificate": forged, "no token of ours": c.bearing("x.y.z")} {
		set := client(t, config)
		_, err := set.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
		if !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: got %v, want 401", name, err)
		}
		_, err = set.RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
		if open := name == "no credentials"; open != (err == nil) {
			t.Errorf("%s: /readyz: got %v", name, err)
		}
	}
}

// pod is bound to a node as it is made, and refers to a secret.
func pod(name, node, secret string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		NodeName:   node,
		Containers: []corev1.Container{{Name: "main", Image: "i", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}}},
	}}
}

func node(t *testing.T, c *cluster) {
	ctx := t.Context()
	one := client(t, c.as(t, pki.Kubeconfigs("node-1")["kubelet.conf"]))
	core := one.CoreV1()
	for _, name := range []string{"mine", "theirs"} {
		if _, err := c.root.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, of := range map[string][2]string{"on-1": {"node-1", "mine"}, "on-2": {"node-2", "theirs"}} {
		if _, err := c.root.CoreV1().Pods("default").Create(ctx, pod(name, of[0], of[1]), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the node reads a secret of its pod", func() error {
		_, err := core.Secrets("default").Get(ctx, "mine", metav1.GetOptions{})
		return err
	})
	_, err := core.Secrets("default").Get(ctx, "theirs", metav1.GetOptions{})
	want(t, "another node's secret", err, `secrets "theirs" is forbidden: User "system:node:node-1" cannot get resource "secrets" in API group "" in the namespace "default": no relationship found between node 'node-1' and this object`)
	_, err = core.Secrets("default").List(ctx, metav1.ListOptions{})
	want(t, "all secrets", err, "No Object name found")
	_, err = core.Secrets("default").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=mine"})
	want(t, "a list of one", err, "")

	pods, err := core.Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=node-1"})
	if err != nil || len(pods.Items) != 1 || pods.Items[0].Name != "on-1" {
		t.Errorf("the node's pods: got %v, %v", pods, err)
	}
	_, err = core.Pods("").List(ctx, metav1.ListOptions{})
	want(t, "all pods", err, "can only list/watch pods with spec.nodeName field selector")
	w, err := core.Pods("").Watch(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=node-1"})
	want(t, "a watch of its pods", err, "")
	if err == nil {
		w.Stop()
	}
	theirs, err := c.root.CoreV1().Pods("default").Get(ctx, "on-2", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	theirs.Status.Phase = corev1.PodFailed
	_, err = core.Pods("default").UpdateStatus(ctx, theirs, metav1.UpdateOptions{})
	want(t, "another node's status", err, `node "node-1" can only update pod status for pods with spec.nodeName set to itself`)
	want(t, "another node's pod", core.Pods("default").Delete(ctx, "on-2", metav1.DeleteOptions{}), `node "node-1" can only delete pods with spec.nodeName set to itself`)
	_, err = core.Pods("default").Create(ctx, pod("new", "node-1", "theirs"), metav1.CreateOptions{})
	want(t, "a pod that reads for it", err, "node \"node-1\" can only create mirror pods")

	_, err = core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, metav1.CreateOptions{})
	want(t, "its Node", err, "")
	_, err = core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-2"}}, metav1.CreateOptions{})
	want(t, "another Node", err, `node "node-1" is not allowed to modify node "node-2"`)
	_, err = core.Nodes().List(ctx, metav1.ListOptions{})
	want(t, "all Nodes", err, "node 'node-1' cannot read all nodes, only its own Node object")
	lease := func(name string) error {
		_, err := one.CoordinationV1().Leases("kube-node-lease").Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	}
	want(t, "its Lease", lease("node-1"), "")
	want(t, "another Lease", lease("node-2"), "can only access node lease with the same name as the requesting node")
}

func account(t *testing.T, c *cluster, name string) *corev1.ServiceAccount {
	t.Helper()
	made, err := c.root.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// request asks for a token of an account, by anybody's client.
func request(ctx context.Context, by kubernetes.Interface, account string, to *authenticationv1.BoundObjectReference) (string, error) {
	r, err := by.CoreV1().ServiceAccounts("default").CreateToken(ctx, account, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: to}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return r.Status.Token, nil
}

func token(t *testing.T, c *cluster) {
	ctx := t.Context()
	account(t, c, "cart")
	token, err := request(ctx, c.root, "cart", nil)
	if err != nil {
		t.Fatal(err)
	}
	set := client(t, c.bearing(token))
	me, err := set.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || me.Status.UserInfo.Username != "system:serviceaccount:default:cart" || !strings.Contains(fmt.Sprint(me.Status.UserInfo.Groups), "system:serviceaccounts:default system:authenticated") {
		t.Errorf("whoami: got %+v, %v", me, err)
	}
	_, err = set.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
	want(t, "what nobody granted", err, `secrets is forbidden: User "system:serviceaccount:default:cart" cannot list resource "secrets" in API group "" in the namespace "default"`)
	_, err = set.Discovery().ServerPreferredResources()
	want(t, "discovery", err, "")
	for _, path := range []string{"/.well-known/openid-configuration", "/openid/v1/jwks"} {
		_, err := set.RESTClient().Get().AbsPath(path).DoRaw(ctx)
		want(t, path, err, "")
	}
	short := int64(60)
	_, err = c.root.CoreV1().ServiceAccounts("default").CreateToken(ctx, "cart", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &short}}, metav1.CreateOptions{})
	want(t, "a minute", err, "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes")

	review := func() authenticationv1.TokenReviewStatus {
		t.Helper()
		r, err := c.root.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	if s := review(); !s.Authenticated || s.User.Username != "system:serviceaccount:default:cart" {
		t.Errorf("got %+v", s)
	}
	if err := c.root.CoreV1().ServiceAccounts("default").Delete(ctx, "cart", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := review(); s.Authenticated || !strings.Contains(s.Error, "has been invalidated") {
		t.Errorf("the account is gone, and its token is good still: %+v", s)
	}
	account(t, c, "cart")
	if s := review(); s.Authenticated {
		t.Errorf("another account of the same name inherits the token: %+v", s)
	}
	_, err = set.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("got %v, want 401", err)
	}
}

// podToken is what a kubelet asks for, and what becomes of it.
func podToken(t *testing.T, c *cluster) {
	ctx := t.Context()
	account(t, c, "till")
	one := client(t, c.as(t, pki.Kubeconfigs("node-1")["kubelet.conf"]))
	made := map[string]*corev1.Pod{}
	for name, on := range map[string]string{"till-1": "node-1", "till-2": "node-2"} {
		p := pod(name, on, "none")
		p.Spec.ServiceAccountName = "till"
		var err error
		if made[name], err = c.root.CoreV1().Pods("default").Create(ctx, p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if v := made["till-1"].Spec.Volumes; len(v) != 1 || !strings.HasPrefix(v[0].Name, "kube-api-access-") || len(made["till-1"].Spec.Containers[0].VolumeMounts) != 1 {
		t.Errorf("the pod has no volume for its token: %+v", made["till-1"].Spec)
	}
	bound := func(name string) *authenticationv1.BoundObjectReference {
		return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: name, UID: made[name].UID}
	}
	var token string
	eventually(t, "the node gets a token for its pod", func() (err error) {
		token, err = request(ctx, one, "till", bound("till-1"))
		return err
	})
	_, err := request(ctx, one, "till", bound("till-2"))
	want(t, "a token for another node's pod", err, "node requested token bound to a pod scheduled on a different node")
	_, err = request(ctx, one, "till", nil)
	want(t, "a token for nobody", err, "node requested token not bound to a pod")
	_, err = request(ctx, one, "cart", nil)
	want(t, "a token of an account that no pod here has", err, "no relationship found between node 'node-1' and this object")

	set := client(t, c.bearing(token))
	me, err := set.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || me.Status.UserInfo.Extra["authentication.kubernetes.io/pod-name"][0] != "till-1" || me.Status.UserInfo.Extra["authentication.kubernetes.io/node-name"][0] != "node-1" {
		t.Errorf("got %+v, %v", me, err)
	}
	at := int64(0)
	if err := c.root.CoreV1().Pods("default").Delete(ctx, "till-1", metav1.DeleteOptions{GracePeriodSeconds: &at}); err != nil {
		t.Fatal(err)
	}
	_, err = set.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("the pod is gone, and its token: got %v, want 401", err)
	}
	eventually(t, "the node forgets what its pod could", func() error {
		if _, err := request(ctx, one, "till", bound("till-2")); err == nil || !strings.Contains(err.Error(), "no relationship found") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
}

func policy(t *testing.T, c *cluster) {
	ctx := t.Context()
	account(t, c, "reader")
	token, err := request(ctx, c.root, "reader", nil)
	if err != nil {
		t.Fatal(err)
	}
	set := client(t, c.bearing(token))
	_, err = set.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
	want(t, "what the policy grants", err, "")
	_, err = set.CoreV1().ConfigMaps("kube-system").List(ctx, metav1.ListOptions{})
	want(t, "another namespace", err, "forbidden")
	want(t, "a write", set.CoreV1().ConfigMaps("default").Delete(ctx, "kube-root-ca.crt", metav1.DeleteOptions{}), "forbidden")
	for verb, allowed := range map[string]bool{"get": true, "delete": false} {
		r, err := set.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Resource: "pods"}}}, metav1.CreateOptions{})
		if err != nil || r.Status.Allowed != allowed {
			t.Errorf("can-i %s: got %+v, %v, want %v", verb, r, err, allowed)
		}
	}
}

func streams(t *testing.T, c *cluster) {
	ctx := t.Context()
	web := pod("web", "node-1", "none")
	web.Namespace = "default"
	host, port := fakekubelet.Start(t, pki.Files{Dir: filepath.Join(c.dir, "pki")}, web)
	if _, err := c.root.CoreV1().Pods("default").Create(ctx, web, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	n, err := c.root.CoreV1().Nodes().Get(ctx, "node-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: host}}
	n.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	if _, err := c.root.CoreV1().Nodes().UpdateStatus(ctx, n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	body, err := c.root.CoreV1().Pods("default").GetLogs("web", &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || string(got) != "one\ntwo\nthree\n" {
		t.Errorf("log: got %q, %v", got, err)
	}
	u := c.root.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name("web").SubResource("exec").
		Param("command", "cat").Param("stdin", "true").Param("stdout", "true").URL()
	for protocol, dial := range map[string]func(*rest.Config) (remotecommand.Executor, error){
		"SPDY": func(config *rest.Config) (remotecommand.Executor, error) {
			return remotecommand.NewSPDYExecutor(config, http.MethodPost, u)
		},
		"WebSocket": func(config *rest.Config) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutor(config, http.MethodGet, u.String())
		},
	} {
		run := func(config *rest.Config) (string, error) {
			executor, err := dial(config)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: &out})
			return out.String(), err
		}
		if got, err := run(c.admin); err != nil || got != "hello" {
			t.Errorf("%s: got %q, %v", protocol, got, err)
		}
		token, err := request(ctx, c.root, "reader", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = run(c.bearing(token))
		want(t, "exec by "+protocol+" of one who may only read", err, `pods "web" is forbidden: User "system:serviceaccount:default:reader" cannot create resource "pods/exec" in API group "" in the namespace "default"`)
	}
}

func impersonation(t *testing.T, c *cluster) {
	config := rest.CopyConfig(c.admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: "alice"}
	_, err := client(t, config).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	want(t, "the administrator as alice", err, `User "alice" cannot list resource "pods"`)
	config = c.as(t, pki.Leaf{User: "alice"})
	config.Impersonate = rest.ImpersonationConfig{UserName: "kubernetes-admin", Groups: []string{"system:masters"}}
	_, err = client(t, config).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "alice" cannot impersonate resource "groups"`) {
		t.Errorf("alice as the administrator: got %v", err)
	}
}

// customResources: kubectl asks for them before it posts a review from a file.
func customResources(t *testing.T, c *cluster) {
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	list := &metav1.PartialObjectMetadataList{}
	body, err := c.root.RESTClient().Get().AbsPath(path).DoRaw(t.Context())
	if err == nil {
		err = json.Unmarshal(body, list)
	}
	if err != nil || list.Kind != "CustomResourceDefinitionList" || len(list.Items) != 0 {
		t.Errorf("got %s, %v", body, err)
	}
	if err := c.root.RESTClient().Post().AbsPath(path).Body([]byte("{}")).Do(t.Context()).Error(); err == nil {
		t.Error("a custom resource was taken for defined")
	}
	_, err = client(t, c.bearing("")).RESTClient().Get().AbsPath(path).DoRaw(t.Context())
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("a stranger: got %v, want 401", err)
	}
}
