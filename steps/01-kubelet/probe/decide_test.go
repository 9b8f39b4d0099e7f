package probe

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNext(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	yes := true
	running := func(age time.Duration, started *bool) *corev1.ContainerStatus {
		return &corev1.ContainerStatus{Name: "main", ContainerID: "groundup://1", Started: started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now.Add(-age))}}}
	}
	dead := &corev1.ContainerStatus{Name: "main", ContainerID: "groundup://1", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}
	always := corev1.ContainerRestartPolicyAlways
	for _, tt := range []struct {
		name      string
		kind      Kind
		phase     corev1.PodPhase
		container *corev1.ContainerStatus
		policy    corev1.RestartPolicy
		own       *corev1.ContainerRestartPolicy
		deleted   bool
		hold      bool
		want      verdict
	}{
		{name: "not created", kind: Liveness, want: wait},
		{name: "created without id", kind: Liveness, container: &corev1.ContainerStatus{Name: "main"}, want: wait},
		{name: "running and started", kind: Liveness, container: running(time.Minute, &yes), want: probe},
		{name: "pod is over", kind: Readiness, phase: corev1.PodFailed, container: running(time.Minute, &yes), want: end},
		{name: "on hold", kind: Liveness, container: running(time.Minute, &yes), hold: true, want: wait},
		{name: "initial delay", kind: Liveness, container: running(4*time.Second, &yes), want: wait},
		{name: "initial delay is over", kind: Liveness, container: running(5*time.Second, &yes), want: probe},
		{name: "liveness waits for startup", kind: Liveness, container: running(time.Minute, nil), want: wait},
		{name: "readiness waits for startup", kind: Readiness, container: running(time.Minute, nil), want: wait},
		{name: "startup goes first", kind: Startup, container: running(time.Minute, nil), want: probe},
		{name: "startup only once", kind: Startup, container: running(time.Minute, &yes), want: wait},
		{name: "dead, will be restarted", kind: Readiness, container: dead, policy: corev1.RestartPolicyAlways, want: fail},
		{name: "dead for good", kind: Readiness, container: dead, policy: corev1.RestartPolicyNever, want: end},
		{name: "dead, restarted by its own policy", kind: Readiness, container: dead, policy: corev1.RestartPolicyNever, own: &always, want: fail},
		{name: "terminating, liveness", kind: Liveness, container: running(time.Minute, &yes), deleted: true, want: end},
		{name: "terminating, readiness", kind: Readiness, container: running(time.Minute, &yes), deleted: true, want: probe},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: tt.policy, Containers: []corev1.Container{{Name: "main", RestartPolicy: tt.own}}}}
			if tt.deleted {
				pod.DeletionTimestamp = &metav1.Time{Time: now}
			}
			status := &corev1.PodStatus{Phase: tt.phase}
			spec := &corev1.Probe{InitialDelaySeconds: 5}
			if got := next(tt.kind, spec, pod, status, tt.container, counter{onHold: tt.hold}, now); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestCount(t *testing.T) {
	spec := &corev1.Probe{SuccessThreshold: 2, FailureThreshold: 3}
	for _, tt := range []struct {
		name    string
		kind    Kind
		answers string // s and f
		want    string // where a result holds: S, F; else -
		hold    bool
	}{
		{"rows", Readiness, "sffssfffs", "----S--F-", false},
		{"each further answer confirms", Readiness, "sss", "-SS", false},
		{"liveness rests after failure", Liveness, "ssfff", "-S--F", true},
		{"startup rests after success", Startup, "fss", "--S", true},
		{"startup rests after failure", Startup, "fff", "--F", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c counter
			var got []byte
			for _, a := range []byte(tt.answers) {
				r := map[byte]Result{'s': Success, 'f': Failure}[a]
				var holds bool
				if c, holds = c.count(r, tt.kind, spec); holds {
					got = append(got, a-'a'+'A')
				} else {
					got = append(got, '-')
				}
			}
			if string(got) != tt.want || c.onHold != tt.hold {
				t.Errorf("%s: got %s, on hold %v, want %s, %v", tt.answers, got, c.onHold, tt.want, tt.hold)
			}
		})
	}
}
