package explain

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

func decision(pod, node string, looked int) *decide.Decision {
	return &decide.Decision{Pod: &framework.Pod{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: pod}}}, Node: node, Looked: looked}
}

func TestTheLastDecisionIsRemembered(t *testing.T) {
	var k Decisions
	k.Decided(decision("web", "one", 2))
	k.Decided(decision("web", "two", 2))
	if got := k.Last("default/web"); got == nil || got.Node != "two" {
		t.Errorf("got %+v, want the second decision", got)
	}
	if got := k.Last("default/other"); got != nil {
		t.Errorf("got %+v of a pod that nobody has seen", got)
	}
}

func TestTheOldestAreForgotten(t *testing.T) {
	var k Decisions
	k.Decided(decision("again", "one", 1))
	for i := range Rows {
		k.Decided(decision(fmt.Sprint(i%3000), "", 1000))
		if i == 5 {
			k.Decided(decision("again", "two", 1)) // the older one goes first, and takes nothing along
		}
		if k.rows > Rows {
			t.Fatalf("%d rows are kept", k.rows)
		}
		if k.Last("default/0") == nil {
			break
		}
		if k.Last("default/again") == nil {
			t.Fatal("a decision was forgotten before those that are older")
		}
	}
	if k.Last("default/0") != nil {
		t.Error("nothing is ever forgotten")
	}
}

func TestServed(t *testing.T) {
	var k Decisions
	k.Decided(decision("web", "one", 2))
	w := httptest.NewRecorder()
	k.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/why?pod=default/web", nil))
	var e decide.Explanation
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Node != "one" || e.Looked != 2 {
		t.Errorf("got %s (%v)", w.Body, err)
	}
	w = httptest.NewRecorder()
	k.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/why?pod=default/other", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("got %d for a pod that is not known, want 404", w.Code)
	}
}
