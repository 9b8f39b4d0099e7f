package validation

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// That the messages are upstream's is tested with the rows, which have defaults.
// Here are the rules that a table of short cases shows better.

func fieldsOf(list field.ErrorList) (paths []string) {
	for _, e := range list {
		paths = append(paths, e.Field)
	}
	return paths
}

func TestOneMebibyteIsTheLimit(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "a", Namespace: "default"}
	for _, test := range []struct {
		name string
		size int
		want int
	}{{"all of it", corev1.MaxSecretSize, 0}, {"one byte more", corev1.MaxSecretSize + 1, 1}} {
		data := strings.Repeat("x", test.size-1)
		config := &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"a": data}, BinaryData: map[string][]byte{"b": {1}}}
		if got := ConfigMap(config); len(got) != test.want {
			t.Errorf("config map, %s: got %v, want %d errors", test.name, got, test.want)
		}
		secret := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"a": []byte(data), "b": {1}}}
		if got := Secret(secret); len(got) != test.want {
			t.Errorf("secret, %s: got %v, want %d errors", test.name, got, test.want)
		}
	}
}

func TestNamesOfResources(t *testing.T) {
	for _, test := range []struct {
		name                        corev1.ResourceName
		anywhere, container, quotas bool
	}{
		{"cpu", true, true, true},
		{"hugepages-2Mi", true, true, true},
		{"requests.cpu", true, false, true},
		{"pods", true, false, true},
		{"storage", true, false, false},
		{"cats", false, false, false},
		{"example.com/gpu", true, true, true},
		{"requests.example.com/gpu", true, false, true},
		{"kubernetes.io/batteries", true, true, true},
		{"a b", false, false, false},
	} {
		ok := func(check func(*findings, corev1.ResourceName, *field.Path)) bool {
			f := &findings{}
			check(f, test.name, field.NewPath("x"))
			return len(f.list) == 0
		}
		if a, c, q := ok((*findings).resourceName), ok((*findings).containerResource), ok((*findings).quotaResource); a != test.anywhere || c != test.container && test.name != "a b" || q != test.quotas {
			t.Errorf("%s: got %v anywhere, %v for containers, %v in quotas, want %v, %v, %v", test.name, a, c, q, test.anywhere, test.container, test.quotas)
		}
	}
}

func TestWhatARestartAllows(t *testing.T) {
	always, never := corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever
	rule := corev1.ContainerRestartRule{Action: corev1.ContainerRestartRuleActionRestart,
		ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}
	for _, test := range []struct {
		name   string
		policy corev1.RestartPolicy
		own    *corev1.ContainerRestartPolicy
		rules  []corev1.ContainerRestartRule
		code   int32
		want   bool
	}{
		{"always", corev1.RestartPolicyAlways, nil, nil, 0, true},
		{"never", corev1.RestartPolicyNever, nil, nil, 1, false},
		{"on failure, failed", corev1.RestartPolicyOnFailure, nil, nil, 1, true},
		{"on failure, succeeded", corev1.RestartPolicyOnFailure, nil, nil, 0, false},
		{"its own policy", corev1.RestartPolicyNever, &always, nil, 0, true},
		{"its own policy, never", corev1.RestartPolicyAlways, &never, nil, 1, false},
		{"a rule", corev1.RestartPolicyNever, &never, []corev1.ContainerRestartRule{rule}, 42, true},
		{"a rule for another code", corev1.RestartPolicyNever, &never, []corev1.ContainerRestartRule{rule}, 41, false},
	} {
		c := corev1.Container{Name: "a", RestartPolicy: test.own, RestartPolicyRules: test.rules}
		ended := corev1.ContainerStatus{Name: "a", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: test.code}}}
		if got := restarts(&corev1.PodSpec{RestartPolicy: test.policy}, []corev1.Container{c}, ended); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestBinding(t *testing.T) {
	for _, test := range []struct {
		target corev1.ObjectReference
		want   []string
	}{
		{corev1.ObjectReference{Kind: "Node", Name: "n"}, nil},
		{corev1.ObjectReference{Name: "n"}, nil},
		{corev1.ObjectReference{Kind: "Pod", Name: "n"}, []string{"target.kind"}},
		{corev1.ObjectReference{}, []string{"target.name"}},
		{corev1.ObjectReference{Name: "N_"}, []string{"target.name"}},
	} {
		if got := fieldsOf(Binding(&corev1.Binding{Target: test.target})); !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %v, want %v", test.target, got, test.want)
		}
	}
}

func TestDeletionCost(t *testing.T) {
	for cost, want := range map[string]bool{"0": true, "-1": true, "2147483647": true, "2147483648": false, "+1": false, "01": false, "-0": false, "a": false, "": false} {
		if got := isCost(cost); got != want {
			t.Errorf("%q: got %v, want %v", cost, got, want)
		}
	}
}

func TestDualStack(t *testing.T) {
	for _, test := range []struct {
		addresses []string
		want      bool
	}{{nil, false}, {[]string{"10.0.0.1"}, false}, {[]string{"10.0.0.1", "10.0.0.2"}, false}, {[]string{"10.0.0.1", "fd00::1"}, true}} {
		if got := dualStack(test.addresses); got != test.want {
			t.Errorf("%v: got %v, want %v", test.addresses, got, test.want)
		}
	}
}

// The claim of a volume is called after the pod and the volume, which may be too much.
func TestClaimsAreCalledAfterTheirPods(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}}}
	for name, want := range map[string]int{"": 0, "web": 0, strings.Repeat("a", 248): 0, strings.Repeat("a", 249): 1} {
		f := &findings{}
		pod.Name = name
		if f.claimNames(pod, spec.Child("volumes")); len(f.list) != want {
			t.Errorf("a pod with a name of %d letters: got %v, want %d errors", len(name), f.list, want)
		}
	}
}

// A template is checked at its own place in an object of another kind.
func TestTemplateErrorsNameTheirPlace(t *testing.T) {
	for _, e := range Template(&corev1.PodTemplateSpec{}, field.NewPath("spec", "template")) {
		if !strings.HasPrefix(e.Field, "spec.template.spec.") {
			t.Errorf("got %s, want it below spec.template.spec", e.Field)
		}
	}
}
