package defaulting

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

func read[T any](t *testing.T, text string) *T {
	t.Helper()
	obj := new(T)
	if err := json.Unmarshal([]byte(text), obj); err != nil {
		t.Fatal(err)
	}
	return obj
}

// becomes checks what a default does, and that doing it again changes nothing.
func becomes[T any](t *testing.T, set func(*T), in, want string) {
	t.Helper()
	got, wanted := read[T](t, in), read[T](t, want)
	for _, times := range []string{"once", "twice"} {
		set(got)
		if !equality.Semantic.DeepEqual(got, wanted) {
			text, _ := json.Marshal(got)
			t.Errorf("%s, %s:\ngot  %s\nwant %s", in, times, text, want)
		}
	}
}

func TestNamespace(t *testing.T) {
	becomes(t, Namespace, `{"metadata":{"name":"a"}}`, `{"metadata":{"name":"a","labels":{"kubernetes.io/metadata.name":"a"}},"status":{"phase":"Active"}}`)
	becomes(t, Namespace, `{"metadata":{"name":"a","labels":{"kubernetes.io/metadata.name":"b","c":"d"}}}`,
		`{"metadata":{"name":"a","labels":{"kubernetes.io/metadata.name":"a","c":"d"}},"status":{"phase":"Active"}}`)
	becomes(t, Namespace, `{"metadata":{"generateName":"a-"}}`, `{"metadata":{"generateName":"a-"},"status":{"phase":"Active"}}`)
}

func TestNode(t *testing.T) {
	becomes(t, Node, `{"status":{"capacity":{"cpu":"1.0001"}}}`, `{"status":{"capacity":{"cpu":"1001m"},"allocatable":{"cpu":"1001m"}}}`)
	becomes(t, Node, `{"status":{"capacity":{"cpu":"2"},"allocatable":{"cpu":"1"}}}`, `{"status":{"capacity":{"cpu":"2"},"allocatable":{"cpu":"1"}}}`)
}

func TestLimitRange(t *testing.T) {
	becomes(t, LimitRange, `{"spec":{"limits":[{"type":"Container","max":{"cpu":"2"},"min":{"memory":"1Mi"}}]}}`,
		`{"spec":{"limits":[{"type":"Container","max":{"cpu":"2"},"min":{"memory":"1Mi"},"default":{"cpu":"2"},"defaultRequest":{"cpu":"2","memory":"1Mi"}}]}}`)
	becomes(t, LimitRange, `{"spec":{"limits":[{"type":"Pod","max":{"cpu":"2"}}]}}`, `{"spec":{"limits":[{"type":"Pod","max":{"cpu":"2"}}]}}`)
}

func TestService(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`{"ports":[{"port":80}]}`, `{"type":"ClusterIP","sessionAffinity":"None","internalTrafficPolicy":"Cluster","ports":[{"port":80,"protocol":"TCP","targetPort":80}]}`},
		{`{"type":"ExternalName","externalName":"a.b","internalTrafficPolicy":"Cluster"}`, `{"type":"ExternalName","externalName":"a.b","sessionAffinity":"None"}`},
		{`{"type":"NodePort","sessionAffinity":"ClientIP"}`, `{"type":"NodePort","sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":10800}},"externalTrafficPolicy":"Cluster","internalTrafficPolicy":"Cluster"}`},
		{`{"type":"LoadBalancer"}`, `{"type":"LoadBalancer","sessionAffinity":"None","externalTrafficPolicy":"Cluster","internalTrafficPolicy":"Cluster","allocateLoadBalancerNodePorts":true}`},
		{`{"externalIPs":["1.2.3.4"]}`, `{"type":"ClusterIP","externalIPs":["1.2.3.4"],"sessionAffinity":"None","externalTrafficPolicy":"Cluster","internalTrafficPolicy":"Cluster"}`},
	} {
		becomes(t, Service, `{"spec":`+test.in+`}`, `{"spec":`+test.want+`}`)
	}
}

// A template is not a pod: what is written down once and used often should not
// say more than its writer did.
func TestTemplateIsNoPod(t *testing.T) {
	in := `{"spec":{"hostNetwork":true,"containers":[{"name":"a","image":"a:1","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1"}}}]}}`
	template, pod := read[corev1.PodTemplateSpec](t, in), read[corev1.Pod](t, in)
	Template(template)
	Pod(pod)
	for _, test := range []struct {
		what          string
		template, pod any
		want, ofPod   any
	}{
		{"requests", len(template.Spec.Containers[0].Resources.Requests), len(pod.Spec.Containers[0].Resources.Requests), 0, 1},
		{"host port", template.Spec.Containers[0].Ports[0].HostPort, pod.Spec.Containers[0].Ports[0].HostPort, int32(0), int32(80)},
		{"service links", template.Spec.EnableServiceLinks == nil, pod.Spec.EnableServiceLinks == nil, true, false},
		{"restart policy", template.Spec.RestartPolicy, pod.Spec.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyAlways},
		{"host network", template.Spec.HostNetwork, pod.Spec.HostNetwork, true, true},
	} {
		if test.template != test.want || test.pod != test.ofPod {
			t.Errorf("%s: got %v in a template and %v in a pod, want %v and %v", test.what, test.template, test.pod, test.want, test.ofPod)
		}
	}
}

func TestPodAddresses(t *testing.T) {
	for in, want := range map[string]string{
		`{"podIP":"10.0.0.1"}`:                                               `{"podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}]}`,
		`{"podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}`:                    `{"podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}`,
		`{"podIP":"10.0.0.2","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}`: `{"podIP":"10.0.0.2","podIPs":[{"ip":"10.0.0.2"}]}`,
		`{}`: `{}`,
	} {
		becomes(t, podIPs, in, want)
	}
}

func TestVolumesOfOthers(t *testing.T) {
	for in, want := range map[string]string{
		`{"iscsi":{"lun":1}}`: `{"iscsi":{"lun":1,"iscsiInterface":"default"}}`,
		`{"rbd":{}}`:          `{"rbd":{"pool":"rbd","user":"admin","keyring":"/etc/ceph/keyring"}}`,
		`{"scaleIO":{}}`:      `{"scaleIO":{"storageMode":"ThinProvisioned","fsType":"xfs"}}`,
		`{"azureDisk":{}}`:    `{"azureDisk":{"cachingMode":"ReadWrite","fsType":"ext4","readOnly":false,"kind":"Shared"}}`,
		`{"ephemeral":{"volumeClaimTemplate":{"spec":{}}}}`: `{"ephemeral":{"volumeClaimTemplate":{"spec":{"volumeMode":"Filesystem"}}}}`,
	} {
		becomes(t, volume, in, want)
	}
}
