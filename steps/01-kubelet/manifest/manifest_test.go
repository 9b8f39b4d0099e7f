package manifest

import (
	"strings"
	"testing"
)

const good = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: web
    image: web:v1
`

func TestDecodeFindsEveryPod(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"one", good, 1},
		{"two documents", good + "---\n" + good, 2},
		{"comments and empty documents", "# nothing\n---\n" + good + "---\n# the end\n", 1},
		{"windows line ends", strings.ReplaceAll(good+"---\n"+good, "\n", "\r\n"), 2},
		{"JSON", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"web:v1"}]}}`, 1},
		{"JSON values, one after the other", `{"apiVersion":"v1","kind":"Pod"}` + "\n" + `{"apiVersion":"v1","kind":"Pod"} {"apiVersion":"v1","kind":"Pod"}` + "\n", 3},
		{"JSON between dashes", `{"apiVersion":"v1","kind":"Pod"}` + "\n---\n" + `{"apiVersion":"v1","kind":"Pod"}`, 2},
		{"an end that is marked", good + "...\n", 1},
		{"a list", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: []}}\n- {apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {containers: []}}\n", 2},
		{"what a kubelet tells at /pods", `{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[{"metadata":{"name":"web"},"spec":{"containers":[]}}]}`, 1},
		{"an anchor", "apiVersion: v1\nkind: Pod\nmetadata: &m {name: web}\nspec: {containers: [{name: web, image: x}], nodeSelector: *m}\n", 1},
		{"a merge that is overridden", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - &c {name: a, image: x}\n  - {<<: *c, name: b}\n", 1},
		{"nothing", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			pods, err := Decode("web.yaml", []byte(c.text))
			if err != nil || len(pods) != c.want {
				t.Errorf("got %d pods and error %v, want %d", len(pods), err, c.want)
			}
		})
	}
}

func TestDecodeNamesFileLineAndField(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown field", strings.Replace(good, "image:", "imgae:", 1), "web.yaml:7: spec.containers[0].imgae: unknown field"},
		{"in the second document", good + "---\n" + strings.Replace(good, "  - name: web", "  - name: web\n    nmae: x", 1), "web.yaml:15: spec.containers[0].nmae: unknown field"},
		{"in a list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec:\n    containres: []\n", "web.yaml:7: items[0].spec.containres: unknown field"},
		{"duplicate field", good + "    image: web:v2\n", "web.yaml:8: spec.containers[0].image: duplicate field"},
		{"duplicate field in JSON", `{"apiVersion":"v1","kind":"Pod","kind":"Pod"}`, "web.yaml:1: kind: duplicate field"},
		{"in the second value of JSON", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}\n\n{\"apiVersion\":\"v1\",\n\"kind\":\"Prod\"}", `web.yaml:4: kind: got "Prod"`},
		{"two documents with nothing between", good + "...\n" + good, "web.yaml:1: something follows the object"},
		{"text after JSON", `{"apiVersion":"v1","kind":"Pod"} more`, "web.yaml:1: "},
		{"wrong type in the second of two", good + "  - image: x\n    name: [y]\n", "web.yaml:9: spec.containers[1].name: got an array, want string"},
		{"wrong type in a list", good + "    command: [a, 5]\n", "web.yaml:8: spec.containers[0].command[1]: got a number, want string"},
		{"a list in a list", good + "    command: [[a]]\n", "web.yaml:8: spec.containers[0].command[0]: got an array, want string"},
		{"wrong type", strings.Replace(good, "image: web:v1", "image: [web]", 1), "web.yaml:7: spec.containers[0].image: got an array, want string"},
		{"cut in the middle", good[:len(good)-20] + "\n  na", "web.yaml:7: could not find expected ':'"},
		{"tabs", "apiVersion: v1\n\tkind: Pod\n", "web.yaml:2: found a tab character that violates indentation"},
		{"another kind", strings.Replace(good, "kind: Pod", "kind: Deployment", 1), `web.yaml:2: kind: got "Deployment", want "Pod", or a "List" of pods: a kubelet runs nothing else`},
		{"another version", strings.Replace(good, "apiVersion: v1", "apiVersion: v2", 1), `web.yaml:1: apiVersion: got "v2", want "v1"`},
		{"no object", "just text\n", "web.yaml:1: not an object of the API: it would begin with apiVersion and kind"},
		{"bytes that are no text", "\xff\xfe bad", "web.yaml:1: not an object of the API"},
		{"a kind that is no word", strings.Replace(good, "kind: Pod", "kind: [Pod]", 1), "web.yaml:2: kind: got an array, want string"},
		{"a list of another version", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v2\n  kind: Pod\n", `web.yaml:4: items[0].apiVersion: got "v2", want "v1"`},
		{"a list of another kind", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n", `web.yaml:5: items[0].kind: got "Service", want "Pod"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode("web.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %s", err, c.want)
			}
		})
	}
}

func TestErrorsOfValidationHaveLines(t *testing.T) {
	pods, err := Decode("web.yaml", []byte(strings.Replace(good, "name: web\n    image", "name: Web\n    image", 1)))
	if err != nil {
		t.Fatal(err)
	}
	SetDefaults(pods[0].Pod)
	pods[0].Pod.Namespace = "default"
	got := pods[0].Errors(Validate(pods[0].Pod))
	if want := "web.yaml:6: spec.containers[0].name: Invalid value: \"Web\""; got == nil || !strings.HasPrefix(got.Error(), want) {
		t.Errorf("got %v, want %s…", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(good + "---\n" + good))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{}, 3]\n"))
	f.Add([]byte("apiVersion: v1\nkind: Pod\nspec: {containers: [{livenessProbe: {}, env: [{valueFrom: {fieldRef: {fieldPath: \"a['\"}}}]}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pods, err := Decode("f", data)
		if err != nil {
			return
		}
		for _, p := range pods {
			SetDefaults(p.Pod)
			_ = p.Errors(Validate(p.Pod))
			_ = p.Errors(ValidateStatic(p.Pod))
		}
	})
}
