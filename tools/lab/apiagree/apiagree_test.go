package apiagree

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"k8s.io/client-go/rest"
)

const folder = "../../../steps"

// It creates all but what the answer to a pod says.
func fake(t *testing.T, pod func(w http.ResponseWriter, spec map[string]any)) *rest.Config {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var obj struct {
			Kind     string         `json:"kind"`
			Metadata map[string]any `json:"metadata"`
			Spec     map[string]any `json:"spec"`
		}
		if r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&obj); err != nil {
			t.Error(err)
		}
		if obj.Kind == "Pod" && r.URL.Query().Get("dryRun") != "" {
			pod(w, obj.Spec)
			return
		}
		w.WriteHeader(http.StatusTeapot) // and nothing is there to be updated
	}))
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL}
}

func TestDifferencesAreFound(t *testing.T) {
	created := func(w http.ResponseWriter, spec map[string]any) {
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Pod", "metadata": map[string]any{"uid": rand.Int64()}, "spec": spec})
	}
	for name, tt := range map[string]struct {
		theirs func(http.ResponseWriter, map[string]any)
		want   bool
	}{
		"the same but for the UID": {created, false},
		"another field": {func(w http.ResponseWriter, spec map[string]any) {
			spec["hostNetwork"] = "?"
			created(w, spec)
		}, true},
		"a refusal": {func(w http.ResponseWriter, _ map[string]any) { http.Error(w, "no", http.StatusConflict) }, true},
		"a warning": {func(w http.ResponseWriter, spec map[string]any) {
			w.Header().Set("Warning", `299 - "beware"`)
			created(w, spec)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			classes, _, err := Run(t.Context(), Config{Ours: fake(t, created), Theirs: fake(t, tt.theirs), Steps: folder, Cases: 50, Only: "pods"})
			if err != nil || (len(classes) > 0) != tt.want {
				t.Errorf("got %d kinds of differences, %v", len(classes), err)
			}
		})
	}
}

// Where nothing is wrong with what is changed, it can be written down and read again.
func TestMutantsAreObjects(t *testing.T) {
	c := &comparison{Config: Config{Steps: folder}, pool: newPool(rand.New(rand.NewPCG(1, 2)))}
	if err := c.read(); err != nil {
		t.Fatal(err)
	}
	changed := 0
	for range 3000 {
		r := pick(c.pool.rand, c.rows)
		seed := pick(c.pool.rand, r.seeds)
		before := seed.DeepCopyObject()
		obj := c.mutant(seed)
		if !reflect.DeepEqual(seed, before) {
			t.Fatalf("a seed was changed: %v", seed)
		}
		if !reflect.DeepEqual(seed, obj) {
			changed++
		}
		if _, err := json.Marshal(obj); err != nil {
			t.Fatal(err)
		}
	}
	if changed < 2000 {
		t.Errorf("%d of 3000 are other objects", changed)
	}
}

func TestWhatIsExplainedIsNoDifference(t *testing.T) {
	where := []string{".spec.taints: nothing, not []"}
	if explanation("nodes", where) == "" || explanation("pods", where) != "" {
		t.Error("want a reason for nodes, and none for pods")
	}
}

// A patch of any kind is one that a server can read, and the same chance makes the same.
func TestPatchesCanBeRead(t *testing.T) {
	made := map[string]int{}
	for range 2 {
		c := &comparison{Config: Config{Steps: folder}, pool: newPool(rand.New(rand.NewPCG(1, 2)))}
		if err := c.read(); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			r := pick(c.pool.rand, c.rows)
			base := pick(c.pool.rand, r.seeds)
			p, err := c.pool.patch(r, base, c.mutant(base))
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(p.body) || p.media == "" {
				t.Fatalf("%s of type %q: %s", p.name, p.media, p.body)
			}
			made[p.name+" "+string(p.body)]++
		}
	}
	for text, n := range made {
		if n%2 != 0 {
			t.Errorf("not made again: %s", text)
		}
	}
	if len(made) < 500 {
		t.Errorf("just %d patches", len(made))
	}
}
