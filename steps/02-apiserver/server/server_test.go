package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// media are the types by which every test of the protocol runs.
var media = []string{"application/json", "application/vnd.kubernetes.protobuf"}

func client(t *testing.T, conf *rest.Config, contentType string) *kubernetes.Clientset {
	t.Helper()
	c := rest.CopyConfig(conf)
	c.ContentType, c.AcceptContentTypes = contentType, contentType+",application/json"
	set, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func eachMedia(t *testing.T, run func(t *testing.T, ctx context.Context, c *kubernetes.Clientset)) {
	for _, m := range media {
		t.Run(m, func(t *testing.T) {
			_, conf := servertest.Start(t, servertest.Config())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			run(t, ctx, client(t, conf, m))
		})
	}
}

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Data: map[string]string{"v": value}}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAnObjectsLife(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		maps := c.CoreV1().ConfigMaps("default")
		made := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("a", "1"), metav1.CreateOptions{}))
		if made.UID == "" || made.CreationTimestamp.IsZero() || made.ResourceVersion == "" || len(made.ManagedFields) != 1 {
			t.Errorf("created: the server has not completed %+v", made.ObjectMeta)
		}
		if _, err := maps.Create(ctx, configMap("a", "1"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
			t.Errorf("created twice: got %v, want AlreadyExists", err)
		}

		changed := made.DeepCopy()
		changed.Data["v"] = "2"
		changed = must[*corev1.ConfigMap](t)(maps.Update(ctx, changed, metav1.UpdateOptions{}))
		if changed.ResourceVersion == made.ResourceVersion {
			t.Error("updated: the resource version is the same")
		}
		if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			t.Errorf("updated from an old version: got %v, want Conflict", err)
		}
		again := must[*corev1.ConfigMap](t)(maps.Update(ctx, changed, metav1.UpdateOptions{}))
		if again.ResourceVersion != changed.ResourceVersion {
			t.Error("an update that changes nothing was written")
		}

		got := must[*corev1.ConfigMap](t)(maps.Get(ctx, "a", metav1.GetOptions{}))
		if got.Data["v"] != "2" || got.ResourceVersion != changed.ResourceVersion {
			t.Errorf("got %v at %s, want v=2 at %s", got.Data, got.ResourceVersion, changed.ResourceVersion)
		}
		list := must[*corev1.ConfigMapList](t)(maps.List(ctx, metav1.ListOptions{LabelSelector: "app=a"}))
		if len(list.Items) != 1 || list.Items[0].Data["v"] != "2" || list.ResourceVersion < got.ResourceVersion {
			t.Errorf("listed %d objects at %s, want 1", len(list.Items), list.ResourceVersion)
		}

		wrong := types.UID("another")
		err := maps.Delete(ctx, "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}})
		if !apierrors.IsConflict(err) {
			t.Errorf("deleted another: got %v, want Conflict", err)
		}
		own := metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "DeleteOptions"}} // as kubectl
		if err := maps.Delete(ctx, "a", own); err != nil {
			t.Error(err)
		}
		if _, err := maps.Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("after the deletion: got %v, want NotFound", err)
		}
	})
}

func TestPatches(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		maps := c.CoreV1().ConfigMaps("default")
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("a", "1"), metav1.CreateOptions{}))
		for _, p := range []struct {
			how   types.PatchType
			patch string
			want  string
		}{
			{types.MergePatchType, `{"data":{"v":"2"}}`, "2"},
			{types.StrategicMergePatchType, `{"data":{"v":"3"}}`, "3"},
			{types.JSONPatchType, `[{"op":"test","path":"/data/v","value":"3"},{"op":"replace","path":"/data/v","value":"4"}]`, "4"},
		} {
			got, err := maps.Patch(ctx, "a", p.how, []byte(p.patch), metav1.PatchOptions{})
			if err != nil || got.Data["v"] != p.want {
				t.Errorf("%s: got %v (%v), want v=%s", p.how, got, err, p.want)
			}
		}
	})
}

// What of an object is no object of this name and kind any more is refused, as upstream does.
func TestPatchesOfWhatAnObjectIs(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		maps := c.CoreV1().ConfigMaps("default")
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("a", "1"), metav1.CreateOptions{}))
		for patch, want := range map[string]string{
			`[{"op":"remove","path":"/apiVersion"}]`:                                             "the name of the object (a based on URL) was undeterminable: name must be provided",
			`[{"op":"remove","path":"/apiVersion"},{"op":"replace","path":"/data","value":"?"}]`: "the name of the object (a based on URL) was undeterminable: name must be provided",
			`[{"op":"move","from":"/apiVersion","path":"/kind"}]`:                                `no kind "v1" is registered for the internal version of group ""`,
			`[{"op":"remove","path":"/metadata/name"}]`:                                          "the name of the object (a based on URL) was undeterminable: name must be provided",
			`[{"op":"replace","path":"/metadata/name","value":"b"}]`:                             "the name of the object (b) does not match the name on the URL (a)",
			`[{"op":"move","from":"/metadata/name","path":"/metadata/namespace"}]`:               "the namespace of the provided object does not match the namespace sent on the request",
		} {
			if _, err := maps.Patch(ctx, "a", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", patch, err, want)
			}
		}
	})
}

// A pod that has no time left is seen to end before it is gone, as upstream has it.
func TestAForcedEndIsSeen(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		pods := c.CoreV1().Pods("default")
		spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}, NodeName: "n", AutomountServiceAccountToken: new(bool)}
		must[*corev1.Pod](t)(pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: spec}, metav1.CreateOptions{}))
		w := must[watch.Interface](t)(pods.Watch(ctx, metav1.ListOptions{}))
		defer w.Stop()
		if err := pods.Delete(ctx, "p", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
			e := <-w.ResultChan()
			p, _ := e.Object.(*corev1.Pod)
			if e.Type != want || want != watch.Added && (p.DeletionTimestamp == nil || *p.DeletionGracePeriodSeconds != 0 || p.Generation != 2) {
				t.Errorf("got %s %v, want %s of a pod that is to end at once", e.Type, e.Object, want)
			}
		}
	})
}

// What the server itself has written of a pod, a time for example, is the same when it is read.
func TestNothingNewIsNotWritten(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		pods := c.CoreV1().Pods("default")
		spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}, AutomountServiceAccountToken: new(bool)}
		meta := metav1.ObjectMeta{Name: "p", Finalizers: []string{"example.com/f"}}
		must[*corev1.Pod](t)(pods.Create(ctx, &corev1.Pod{ObjectMeta: meta, Spec: spec}, metav1.CreateOptions{}))
		same := func(after string) {
			before := must[*corev1.Pod](t)(pods.Get(ctx, "p", metav1.GetOptions{}))
			patch := []byte(`{"status":{"phase":"Pending"}}`)
			now := must[*corev1.Pod](t)(pods.Patch(ctx, "p", types.MergePatchType, patch, metav1.PatchOptions{}, "status"))
			if now.ResourceVersion != before.ResourceVersion {
				t.Errorf("after %s: nothing was changed, and the version is %s after %s", after, now.ResourceVersion, before.ResourceVersion)
			}
		}
		same("it was made")
		if err := pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Name: "n"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		same("it was bound")
		if err := pods.Delete(ctx, "p", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		same("it was deleted")
	})
}

// What a client says of an object's end is not kept, and so nobody owns it.
func TestTheEndOfANewObjectIsNobodys(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		obj := configMap("a", "1")
		obj.DeletionTimestamp, obj.DeletionGracePeriodSeconds = new(metav1.Now()), new(int64(3))
		made := must[*corev1.ConfigMap](t)(c.CoreV1().ConfigMaps("default").Create(ctx, obj, metav1.CreateOptions{}))
		if made.DeletionTimestamp != nil || len(made.ManagedFields) != 1 || strings.Contains(made.ManagedFields[0].FieldsV1.GetRawString(), "deletion") {
			t.Errorf("got %v, owned %s", made.DeletionTimestamp, made.ManagedFields)
		}
	})
}

func TestWhoIsNamedTwiceOwnsOnce(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		yes := true
		owner := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "o", UID: "u", Controller: &yes}
		twice := []metav1.OwnerReference{owner, owner}
		obj := configMap("a", "1")
		obj.OwnerReferences = twice
		maps := c.CoreV1().ConfigMaps("default")
		made := must[*corev1.ConfigMap](t)(maps.Create(ctx, obj, metav1.CreateOptions{}))
		if len(made.OwnerReferences) != 1 {
			t.Errorf("created: got the owners %v, want one", made.OwnerReferences)
		}
		made.OwnerReferences = twice
		if got := must[*corev1.ConfigMap](t)(maps.Update(ctx, made, metav1.UpdateOptions{})); len(got.OwnerReferences) != 1 {
			t.Errorf("updated: got the owners %v, want one", got.OwnerReferences)
		}
		patch := `[{"op":"add","path":"/metadata/ownerReferences/-","value":{"apiVersion":"v1","kind":"ConfigMap","name":"o","uid":"u","controller":true}}]`
		if got := must[*corev1.ConfigMap](t)(maps.Patch(ctx, "a", types.JSONPatchType, []byte(patch), metav1.PatchOptions{})); len(got.OwnerReferences) != 1 {
			t.Errorf("patched: got the owners %v, want one", got.OwnerReferences)
		}
	})
}

func TestServerSideApply(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		maps := c.CoreV1().ConfigMaps("default")
		apply := func(value, who string, force bool) (*corev1.ConfigMap, error) {
			return maps.Apply(ctx, corev1apply.ConfigMap("a", "default").WithData(map[string]string{"v": value}), metav1.ApplyOptions{FieldManager: who, Force: force})
		}
		must[*corev1.ConfigMap](t)(apply("1", "one", false))
		if _, err := apply("2", "two", false); !apierrors.IsConflict(err) {
			t.Errorf("apply over another's field: got %v, want Conflict", err)
		}
		got := must[*corev1.ConfigMap](t)(apply("2", "two", true))
		same := must[*corev1.ConfigMap](t)(apply("2", "two", true))
		if got.Data["v"] != "2" || same.ResourceVersion != got.ResourceVersion {
			t.Errorf("got %v at %s and then %s, want v=2 and no second write", got.Data, got.ResourceVersion, same.ResourceVersion)
		}
	})
}

func TestAnInformerFollows(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		maps := c.CoreV1().ConfigMaps("default")
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("before", "1"), metav1.CreateOptions{}))
		factory := informers.NewSharedInformerFactory(c, 0)
		informer := factory.Core().V1().ConfigMaps().Informer()
		seen := make(chan string, 100)
		informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { seen <- "+" + o.(*corev1.ConfigMap).Name },
			UpdateFunc: func(_, o any) { seen <- "~" + o.(*corev1.ConfigMap).Name + o.(*corev1.ConfigMap).Data["v"] },
			DeleteFunc: func(o any) { seen <- "-" + o.(*corev1.ConfigMap).Name },
		})
		factory.Start(ctx.Done())
		factory.WaitForCacheSync(ctx.Done())
		made := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("b", "1"), metav1.CreateOptions{}))
		made.Data["v"] = "2"
		must[*corev1.ConfigMap](t)(maps.Update(ctx, made, metav1.UpdateOptions{}))
		if err := maps.Delete(ctx, "b", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"+before", "+b", "~b2", "-b"} {
			select {
			case got := <-seen:
				if got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			case <-ctx.Done():
				t.Fatalf("%s has not come", want)
			}
		}
	})
}

func TestPages(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		maps := c.CoreV1().ConfigMaps("default")
		for i := range 7 {
			must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap(fmt.Sprintf("a%d", i), "1"), metav1.CreateOptions{}))
		}
		var got []string
		o := metav1.ListOptions{Limit: 3}
		for {
			page := must[*corev1.ConfigMapList](t)(maps.List(ctx, o))
			for _, cm := range page.Items {
				got = append(got, cm.Name)
			}
			if left := page.RemainingItemCount; (left == nil) != (page.Continue == "") || left != nil && *left != int64(7-len(got)) {
				t.Errorf("after %v: %v remain", got, left)
			}
			if page.Continue == "" {
				break
			}
			o.Continue = page.Continue
			must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap(fmt.Sprintf("b%d", len(got)), "1"), metav1.CreateOptions{}))
		}
		if want := "[a0 a1 a2 a3 a4 a5 a6]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s: the pages are not of one state", got, want)
		}
	})
}

func TestPodsEndGracefully(t *testing.T) {
	eachMedia(t, func(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
		pods := c.CoreV1().Pods("default")
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p-", Finalizers: []string{"example.com/wait"}},
			Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
		made := must[*corev1.Pod](t)(pods.Create(ctx, pod, metav1.CreateOptions{}))
		if err := pods.Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		ending := must[*corev1.Pod](t)(pods.Get(ctx, made.Name, metav1.GetOptions{}))
		if ending.DeletionTimestamp == nil || *ending.DeletionGracePeriodSeconds != 30 || ending.Generation != made.Generation+1 {
			t.Errorf("got %+v, want a deletion in 30 s and another generation", ending.ObjectMeta)
		}
		now := int64(0)
		if err := pods.Delete(ctx, made.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			t.Fatal(err)
		}
		kept := must[*corev1.Pod](t)(pods.Get(ctx, made.Name, metav1.GetOptions{}))
		kept.Finalizers = nil
		if _, err := pods.Update(ctx, kept, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := pods.Get(ctx, made.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("without its finalizer: got %v, want NotFound", err)
		}
	})
}
