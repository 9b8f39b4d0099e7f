package rows_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
)

// onePod is a server that has a pod, and nothing else.
type onePod struct {
	resource.Server
	pod *corev1.Pod
}

func (s *onePod) Get(_ context.Context, of schema.GroupResource, _, name string) (resource.Object, error) {
	if name != s.pod.Name {
		return nil, apierrors.NewNotFound(of, name)
	}
	return s.pod, nil
}

func (s *onePod) Update(ctx context.Context, of schema.GroupResource, namespace, name string, change func(resource.Object) (bool, error)) error {
	if _, err := s.Get(ctx, of, namespace, name); err != nil {
		return err
	}
	_, err := change(s.pod)
	return err
}

func TestBinding(t *testing.T) {
	now := metav1.Now()
	meta := metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "u1", ResourceVersion: "7"}
	to := func(node string) corev1.ObjectReference { return corev1.ObjectReference{Kind: "Node", Name: node} }
	for _, test := range []struct {
		name    string
		pod     corev1.Pod
		binding corev1.Binding
		dryRun  bool
		node    string // of the pod, in the end
		reason  metav1.StatusReason
		message string
	}{
		{name: "a pod without a node", pod: corev1.Pod{ObjectMeta: meta}, binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: to("n")}, node: "n"},
		{name: "only asked", pod: corev1.Pod{ObjectMeta: meta}, binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: to("n")}, dryRun: true},
		{name: "the pod that was seen", pod: corev1.Pod{ObjectMeta: meta}, binding: corev1.Binding{ObjectMeta: meta, Target: to("n")}, node: "n"},
		{name: "a pod that has a node", pod: corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{NodeName: "m"}},
			binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: to("n")}, node: "m",
			reason: metav1.StatusReasonConflict, message: `pod web is already assigned to node "m"`},
		{name: "a pod of that name, made anew", pod: corev1.Pod{ObjectMeta: meta}, binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "u0"}, Target: to("n")},
			reason: metav1.StatusReasonConflict, message: "Precondition failed: UID in precondition: u0"},
		{name: "a pod that has changed", pod: corev1.Pod{ObjectMeta: meta}, binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web", ResourceVersion: "6"}, Target: to("n")},
			reason: metav1.StatusReasonConflict, message: "Precondition failed: ResourceVersion in precondition: 6"},
		{name: "a pod that goes", pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", DeletionTimestamp: &now}},
			binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: to("n")},
			reason:  metav1.StatusReasonConflict, message: "is being deleted, cannot be assigned to a host"},
		{name: "a gated pod", pod: corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: "a"}}}},
			binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: to("n")},
			reason:  metav1.StatusReasonConflict, message: "non-empty .spec.schedulingGates"},
		{name: "no pod", pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: to("n")},
			reason: metav1.StatusReasonNotFound, message: `pods "web" not found`},
		{name: "no node", pod: corev1.Pod{ObjectMeta: meta}, binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}},
			reason: metav1.StatusReasonInvalid, message: "target.name: Required value"},
		{name: "another name", pod: corev1.Pod{ObjectMeta: meta}, binding: corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Target: to("n")},
			reason: metav1.StatusReasonBadRequest, message: "name in URL does not match name in Binding object"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &onePod{pod: &test.pod}
			_, err := rows.Bindings().Subresources[0].Create(t.Context(), server, "default", "web", &test.binding, test.dryRun)
			if got := apierrors.ReasonForError(err); got != test.reason || err != nil && !strings.Contains(err.Error(), test.message) {
				t.Errorf("got %s: %v, want %s: %s", got, err, test.reason, test.message)
			}
			if test.pod.Spec.NodeName != test.node {
				t.Errorf("the pod is on %q, want %q", test.pod.Spec.NodeName, test.node)
			}
		})
	}
}

func TestBindingLeavesItsMark(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"a": "1"}}, Status: corev1.PodStatus{
		NominatedNodeName: "m", Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable"}}}}
	binding := &corev1.Binding{Target: corev1.ObjectReference{Name: "n"}, ObjectMeta: metav1.ObjectMeta{Name: "web",
		Labels: map[string]string{"zone": "z"}, Annotations: map[string]string{"by": "me"}}}
	if _, err := rows.Bindings().Subresources[0].Create(t.Context(), &onePod{pod: pod}, "default", "web", binding, false); err != nil {
		t.Fatal(err)
	}
	if pod.Labels["zone"] != "z" || pod.Labels["a"] != "1" || pod.Annotations["by"] != "me" {
		t.Errorf("got labels %v and annotations %v, want those of the pod and of the binding", pod.Labels, pod.Annotations)
	}
	c := pod.Status.Conditions
	if len(c) != 1 || c[0].Status != corev1.ConditionTrue || c[0].Reason != "" || c[0].LastTransitionTime.IsZero() || pod.Status.NominatedNodeName != "" {
		t.Errorf("got %+v and %q, want it scheduled, since now, and no longer nominated", c, pod.Status.NominatedNodeName)
	}
}
