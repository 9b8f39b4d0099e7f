package apiserver

import (
	"fmt"
	"net/http"
)

// customResources is where the definitions of custom resources are listed. There
// are none in this step, and no row for them either. But before kubectl sends an
// object of a kind that can't be patched, such as a review, it asks whether the
// kind is a custom one, and gives up if it gets no answer.
// Upstream: k8s.io/cli-runtime/pkg/resource/crd_finder.go.
const customResources = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

func noCustomResources(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "there are no custom resources here", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"kind":"CustomResourceDefinitionList","apiVersion":"apiextensions.k8s.io/v1","metadata":{},"items":[]}`)
}
