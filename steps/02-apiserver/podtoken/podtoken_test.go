package podtoken

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestRenewal(t *testing.T) {
	for _, tt := range []struct{ life, want time.Duration }{
		{time.Hour, 48 * time.Minute}, {10 * time.Minute, 8 * time.Minute}, {365 * 24 * time.Hour, 24 * time.Hour},
	} {
		if got := renewal(noon.Add(tt.life), tt.life).Sub(noon); got != tt.want {
			t.Errorf("life of %v: got renewal after %v, want %v", tt.life, got, tt.want)
		}
	}
}

func TestGet(t *testing.T) {
	client := fake.NewClientset()
	now, issued, away := noon, 0, false
	client.PrependReactor("create", "serviceaccounts", func(a kubetesting.Action) (bool, runtime.Object, error) {
		if away {
			return true, nil, errors.New("connection refused")
		}
		create, ok := a.(kubetesting.CreateActionImpl)
		if !ok || create.Name != "robot" || create.Subresource != "token" {
			t.Errorf("got %v", a)
		}
		r, ok := create.Object.(*authenticationv1.TokenRequest)
		if !ok || r.Spec.BoundObjectRef.UID != "uid" || len(r.Spec.Audiences) != 1 || r.Spec.Audiences[0] != "vault" {
			t.Errorf("got request %+v", r)
		}
		issued++
		r.Status.Token, r.Status.ExpirationTimestamp = fmt.Sprint("token-", issued), metav1.NewTime(now.Add(time.Hour))
		return true, r, nil
	})
	tokens := &Tokens{Client: client.CoreV1(), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "uid"}, Spec: corev1.PodSpec{ServiceAccountName: "robot"}}
	seconds := int64(3600)
	for _, step := range []struct {
		at   time.Duration
		away bool
		want string
	}{
		{0, false, "token-1"},
		{47 * time.Minute, false, "token-1"},
		{49 * time.Minute, true, "token-1"}, // it is still valid
		{50 * time.Minute, false, "token-2"},
		{2 * time.Hour, true, ""},
	} {
		now, away = noon.Add(step.at), step.away
		got, err := tokens.Get(t.Context(), pod, "vault", &seconds)
		if got != step.want || (err != nil) != (step.want == "") {
			t.Errorf("after %v: got %q, %v, want %q", step.at, got, err, step.want)
		}
	}
	if len(tokens.known) != 0 {
		t.Errorf("got %d tokens kept that have ended", len(tokens.known))
	}
}
