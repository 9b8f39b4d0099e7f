package openapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"k8s.io/apimachinery/pkg/runtime/schema"
	cliresource "k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi/cached"
	"k8s.io/client-go/rest"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	explain "k8s.io/kubectl/pkg/explain/v2"
	kubectlopenapi "k8s.io/kubectl/pkg/util/openapi"
	"k8s.io/kubectl/pkg/validation"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/openapi"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
)

func documents() *openapi.Documents { return openapi.New(rows.All(), rows.Scheme(), "v1.37.1") }

// client talks to a server that has the documents, and nothing else.
func client(t *testing.T) (*discovery.DiscoveryClient, string) {
	t.Helper()
	server := httptest.NewServer(documents().Handler())
	t.Cleanup(server.Close)
	return discovery.NewDiscoveryClientForConfigOrDie(&rest.Config{Host: server.URL}), server.URL
}

func TestKubectlExplainsEveryRow(t *testing.T) {
	c, _ := client(t)
	docs := cached.NewClient(c.OpenAPIV3())
	for _, r := range rows.All() {
		if len(r.Without) > 3 { // what can't be read is not explained
			continue
		}
		recursive := r.Name == "pods" // it is the largest, and this takes some time
		var out bytes.Buffer
		if err := explain.PrintModelDescription(nil, &out, docs, r.GroupVersionResource(), recursive, 0, "plaintext"); err != nil {
			t.Errorf("explain %s: %v", r.GroupVersionResource(), err)
		} else if !strings.Contains(out.String(), "KIND:       "+r.Kind) {
			t.Errorf("explain %s: got %q, want its kind", r.GroupVersionResource(), out.String()[:min(200, out.Len())])
		}
	}
}

func TestExplainKnowsTypesAndWords(t *testing.T) {
	c, _ := client(t)
	docs := cached.NewClient(c.OpenAPIV3())
	for path, want := range map[string][]string{
		"spec.containers":                            {"FIELD: containers <[]Container>", "List of containers belonging to the pod."},
		"spec.containers.ports":                      {"containerPort\t<integer> -required-"},
		"spec.containers.resources.limits":           {"FIELD: limits <map[string]Quantity>", "Quantity is an amount"},
		"spec.containers.livenessProbe.httpGet.port": {"IntOrString is a number or a name"},
		"spec.restartPolicy":                         {"ENUM:\n    Always\n    Never\n    OnFailure\n"},
		"spec.tolerations":                           {"enum: NoExecute, NoSchedule, PreferNoSchedule"},
		"metadata.creationTimestamp":                 {"FIELD: creationTimestamp <string>"},
		"metadata.managedFields.fieldsV1":            {"FIELD: fieldsV1 <FieldsV1>"},
	} {
		var out bytes.Buffer
		pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
		if err := explain.PrintModelDescription(strings.Split(path, "."), &out, docs, pods, false, 0, "plaintext"); err != nil {
			t.Errorf("explain pod.%s: %v", path, err)
			continue
		}
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("explain pod.%s: got\n%s\nwant %q in it", path, out.String(), text)
			}
		}
	}
}

// kubectl finds mistakes by the second version's document when a server does not.
func TestKubectlFindsMistakes(t *testing.T) {
	c, _ := client(t)
	doc, err := c.OpenAPISchema()
	if err != nil {
		t.Fatal(err)
	}
	data, err := kubectlopenapi.NewOpenAPIData(doc)
	if err != nil {
		t.Fatal(err)
	}
	check := validation.NewSchemaValidation(resources{data, doc})
	for _, test := range []struct{ name, manifest, want string }{
		{"good", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"a","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":1,"memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":"web"}}}]}}`, ""},
		{"unknown field", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","imag":"a"}]}}`, `unknown field "imag" in io.k8s.api.core.v1.Container`},
		{"wrong type", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":{}}}`, `invalid type for io.k8s.api.core.v1.PodSpec.containers: got "map", expected "array"`},
		{"missing field", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"a"}]}}`, `missing required field "name" in io.k8s.api.core.v1.Container`},
		{"another group", `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{"holder":"a"}}`, `unknown field "holder" in io.k8s.api.coordination.v1.LeaseSpec`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := check.ValidateBytes([]byte(test.manifest))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

type resources struct {
	kubectlopenapi.Resources
	doc *openapi_v2.Document
}

func (r resources) OpenAPISchema() (kubectlopenapi.Resources, error) { return r.Resources, nil }

// kubectl leaves it to the server to find mistakes if the document says that the
// server can.
func TestServerSaysThatItValidates(t *testing.T) {
	c, _ := client(t)
	verifier := cliresource.NewQueryParamVerifierV3(nil, c.OpenAPIV3(), cliresource.QueryParamFieldValidation)
	for _, r := range rows.All() {
		if slices.Contains(r.Without, "patch") {
			continue
		}
		if err := verifier.HasSupport(r.GroupVersionKind); err != nil {
			t.Errorf("%s: %v", r.GroupVersionKind, err)
		}
	}
}

// A writer of patches has to know by what key lists are merged.
func TestMarkers(t *testing.T) {
	doc := documents().V2()
	for name, want := range map[string]map[string]any{
		"PodSpec.containers":   {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name", "x-kubernetes-list-type": "map"},
		"PodSpec.volumes":      {"x-kubernetes-patch-strategy": "merge,retainKeys"},
		"PodSpec.nodeSelector": {"x-kubernetes-map-type": "atomic"},
		"ServiceSpec.ports":    {"x-kubernetes-patch-merge-key": "port", "x-kubernetes-list-type": "map"},
		"Container.command":    {"x-kubernetes-list-type": "atomic"},
	} {
		kind, field, _ := strings.Cut(name, ".")
		got := doc.Definitions["io.k8s.api.core.v1."+kind].Properties[field].Extensions
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s: %s: got %v, want %v", name, key, got[key], value)
			}
		}
	}
}

// Generators of clients make a function of each operation.
func TestEveryOperationHasANameOfItsOwn(t *testing.T) {
	paths := documents().V2().Paths.Paths
	seen := map[string]string{}
	for path, item := range paths {
		for method, o := range map[string]*spec.Operation{"get": item.Get, "put": item.Put, "post": item.Post, "delete": item.Delete, "patch": item.Patch} {
			if o == nil {
				continue
			}
			if other, twice := seen[o.ID]; o.ID == "" || twice {
				t.Errorf("%s %s: operationId %q, as of %s", method, path, o.ID, other)
			}
			seen[o.ID] = method + " " + path
		}
	}
	for id, want := range map[string]string{
		"listCoreV1PodForAllNamespaces":       "get /api/v1/pods",
		"listCoreV1NamespacedPod":             "get /api/v1/namespaces/{namespace}/pods",
		"deleteCoreV1CollectionNamespacedPod": "delete /api/v1/namespaces/{namespace}/pods",
		"createCoreV1NamespacedPodBinding":    "post /api/v1/namespaces/{namespace}/pods/{name}/binding",
		"replaceCoreV1NamespaceFinalize":      "put /api/v1/namespaces/{name}/finalize",
		"replaceCoreV1NodeStatus":             "put /api/v1/nodes/{name}/status",
		"patchCoordinationV1NamespacedLease":  "patch /apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}",
	} {
		if got := seen[id]; got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
}

func TestEveryReferenceLeadsSomewhere(t *testing.T) {
	d := documents()
	for _, gv := range d.Groups() {
		data, err := json.Marshal(d.V3(gv))
		if err != nil {
			t.Fatal(err)
		}
		doc := &spec3.OpenAPI{}
		if err := json.Unmarshal(data, doc); err != nil {
			t.Fatalf("%s: %v", gv, err)
		}
		for _, part := range strings.Split(string(data), `"$ref":"#/components/schemas/`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			if doc.Components.Schemas[name] == nil {
				t.Fatalf("%s: %s is referred to and not defined", gv, name)
			}
		}
	}
}

func TestThirdVersionKnowsAlternatives(t *testing.T) {
	doc := documents().V3(schema.GroupVersion{Version: "v1"})
	for name, want := range map[string][]string{
		"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"integer", "string"},
		"io.k8s.apimachinery.pkg.api.resource.Quantity":   {"string", "number"},
	} {
		var got []string
		for _, s := range doc.Components.Schemas[name].OneOf {
			got = append(got, s.Type[0])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestServing(t *testing.T) {
	_, url := client(t)
	get := func(path string, header ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	index := get("/openapi/v3")
	var paths struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.NewDecoder(index.Body).Decode(&paths); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"api/v1", "apis/events.k8s.io/v1", "apis/coordination.k8s.io/v1", "apis/node.k8s.io/v1", "apis/scheduling.k8s.io/v1"} {
		if got := get(paths.Paths[path].ServerRelativeURL); got.StatusCode != http.StatusOK || got.Header.Get("Cache-Control") == "" {
			t.Errorf("%s at %q: got %s, want one to be kept for long", path, paths.Paths[path].ServerRelativeURL, got.Status)
		}
	}
	tag := get("/openapi/v2").Header.Get("Etag")
	if got := get("/openapi/v2", "If-None-Match", tag); tag == "" || got.StatusCode != http.StatusNotModified {
		t.Errorf("with the tag %q: got %s, want not modified", tag, got.Status)
	}
	if got := get("/openapi/v3/apis/apps/v1"); got.StatusCode != http.StatusNotFound {
		t.Errorf("a group that is not there: got %s, want not found", got.Status)
	}
	swagger := &spec.Swagger{}
	data, _ := io.ReadAll(get("/openapi/v2").Body)
	if err := json.Unmarshal(data, swagger); err != nil {
		t.Error(err)
	}
	if bytes.Contains(data, []byte(`"oneOf`)) {
		t.Error("the second version's document has alternatives, which it can't have")
	}
}
