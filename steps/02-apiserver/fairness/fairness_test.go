package fairness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestUsersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 10)
		release, err := l.Acquire(t.Context(), "first")
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 10)
		var wait sync.WaitGroup
		ask := func(user string) {
			wait.Go(func() {
				release, err := l.Acquire(t.Context(), user)
				if err != nil {
					t.Error(err)
					return
				}
				order <- user
				release()
			})
			synctest.Wait()
		}
		for range 3 {
			ask("greedy")
		}
		ask("modest")
		if got := l.Waiting(); got != 4 {
			t.Errorf("got %d waiting, want 4", got)
		}
		release()
		wait.Wait()
		close(order)
		var got []string
		for user := range order {
			got = append(got, user)
		}
		if want := "[greedy modest greedy greedy]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if l.Used() != 0 || l.Waiting() != 0 || len(l.byUser) != 0 {
			t.Errorf("after all: %d used, %d waiting, %d users known", l.Used(), l.Waiting(), len(l.byUser))
		}
	})
}

// Who takes places and does not give them back, by sending a body one byte a second, does
// not have all of them.
func TestOneUserNeverHasAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(4, 10)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				if release, err := l.Acquire(ctx, "greedy"); err == nil {
					<-ctx.Done()
					release()
				}
			})
		}
		synctest.Wait()
		if used, waiting := l.Used(), l.Waiting(); used != 2 || waiting != 6 {
			t.Errorf("got %d places used and %d waiting, want 2 and 6", used, waiting)
		}
		for range 3 {
			in, done := context.WithTimeout(t.Context(), patience)
			release, err := l.Acquire(in, "modest")
			done()
			if err != nil {
				t.Error(err)
				break
			}
			release()
		}
		cancel()
		wait.Wait()
		if l.Used() != 0 || l.Waiting() != 0 || len(l.byUser) != 0 || len(l.has) != 0 {
			t.Errorf("after all: %d used, %d waiting, %d users known, %d with places", l.Used(), l.Waiting(), len(l.byUser), len(l.has))
		}
	})
}

func TestAQueueHasAnEndForOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 1)
		release, _ := l.Acquire(t.Context(), "a")
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := l.Acquire(ctx, "a"); !errors.Is(err, ErrTimeout) {
				t.Errorf("got %v, want ErrTimeout", err)
			}
		})
		synctest.Wait()
		if _, err := l.Acquire(t.Context(), "a"); !errors.Is(err, ErrFull) {
			t.Errorf("the second in a queue of one: got %v, want ErrFull", err)
		}
		cancel()
		wait.Wait()
		if l.Waiting() != 0 {
			t.Error("who has left still waits")
		}
		release()
		if l.Used() != 0 {
			t.Errorf("got %d places used, want 0", l.Used())
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	l := New(3, 1000)
	var inside, most int
	var mu sync.Mutex
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() {
			release, err := l.Acquire(t.Context(), fmt.Sprint(i%7))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			release()
		})
	}
	wait.Wait()
	if most > 3 || l.Used() != 0 {
		t.Errorf("got %d at once and %d places left in use, want at most 3 and 0", most, l.Used())
	}
}

func TestWhoNeedsAPlace(t *testing.T) {
	full := New(0, 0)
	h := Handler{Reads: full, Writes: New(1, 0), Lasting: func(r *http.Request) bool { return r.URL.Path == "/watch" }}.
		Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		name, method, path string
		groups             []string
		want               int
	}{
		{"a read", http.MethodGet, "/", nil, http.StatusTooManyRequests},
		{"a write has places of its own", http.MethodPost, "/", nil, http.StatusOK},
		{"a watch", http.MethodGet, "/watch", nil, http.StatusOK},
		{"an administrator", http.MethodGet, "/", []string{user.SystemPrivilegedGroup}, http.StatusOK},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r = r.WithContext(apirequest.WithUser(r.Context(), &user.DefaultInfo{Name: "u", Groups: c.groups}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: got %d, want %d", c.name, w.Code, c.want)
		}
	}
}

func TestWhoIsRefusedIsToldWhenToComeBack(t *testing.T) {
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(apirequest.WithUser(r.Context(), &user.DefaultInfo{Name: "u"}))
		Handler{Reads: New(0, 0), Lasting: func(*http.Request) bool { return false }}.Wrap(http.NotFoundHandler()).ServeHTTP(w, r)
	}))
	defer full.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: full.URL})
	if err != nil {
		t.Fatal(err)
	}
	err = client.CoreV1().RESTClient().Get().MaxRetries(0).Resource("pods").Do(t.Context()).Error()
	if seconds, again := apierrors.SuggestsClientDelay(err); !apierrors.IsTooManyRequests(err) || !again || seconds != 1 {
		t.Errorf("got %v, again %t after %d s, want TooManyRequests, and again after 1 s", err, again, seconds)
	}
}
