package server

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/munnerz/goautoneg"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Discovery tells clients what there is: /api and /apis list the groups, and below
// them each version lists its resources. Because that takes a request for each
// version, there is a second form that has all of it in two answers; a client asks
// for it by its Accept header. See
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api.
func (s *Server) discovery() map[string]http.Handler {
	core := s.groupOf("")
	paths := map[string]http.Handler{
		"/api": aggregated([]group{core}, &metav1.APIVersions{Versions: core.versions(),
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: s.conf.Address}}}, "APIVersions"),
	}
	all := s.groups()
	list := &metav1.APIGroupList{Groups: []metav1.APIGroup{}}
	for _, g := range append([]group{core}, all...) {
		for _, v := range g.byVersion {
			gv := schema.GroupVersion{Group: g.name, Version: v.version}
			path := "/apis/" + gv.String()
			if g.name == "" {
				path = "/api/" + v.version
			}
			paths[path] = plain(&metav1.APIResourceList{GroupVersion: gv.String(), APIResources: v.resources()}, "APIResourceList")
		}
		if g.name != "" {
			one := g.api()
			list.Groups = append(list.Groups, *one)
			paths["/apis/"+g.name] = plain(one, "APIGroup")
		}
	}
	paths["/apis"] = aggregated(all, list, "APIGroupList")
	return paths
}

// A group is the versions of an API group, in the order of the table.
type group struct {
	name      string
	byVersion []groupVersion
}

type groupVersion struct {
	version   string
	endpoints []*endpoint
}

// groups are all but the core group.
func (s *Server) groups() []group {
	var out []group
	seen := map[string]bool{"": true}
	for _, row := range s.conf.Rows {
		if !seen[row.Group] {
			seen[row.Group] = true
			out = append(out, s.groupOf(row.Group))
		}
	}
	return out
}

func (s *Server) groupOf(name string) group {
	g := group{name: name}
	for _, row := range s.conf.Rows {
		if row.Group != name {
			continue
		}
		i := slices.IndexFunc(g.byVersion, func(v groupVersion) bool { return v.version == row.Version })
		if i < 0 {
			i = len(g.byVersion)
			g.byVersion = append(g.byVersion, groupVersion{version: row.Version})
		}
		g.byVersion[i].endpoints = append(g.byVersion[i].endpoints, s.endpoints[row.GroupVersionResource()])
	}
	return g
}

func (g group) versions() []string {
	out := []string{}
	for _, v := range g.byVersion {
		out = append(out, v.version)
	}
	return out
}

func (g group) api() *metav1.APIGroup {
	a := &metav1.APIGroup{Name: g.name}
	for _, v := range g.versions() {
		a.Versions = append(a.Versions, metav1.GroupVersionForDiscovery{GroupVersion: g.name + "/" + v, Version: v})
	}
	a.PreferredVersion = a.Versions[0]
	return a
}

// resources is how the version's rows look in the plain form.
func (v groupVersion) resources() []metav1.APIResource {
	var out []metav1.APIResource
	for _, e := range v.endpoints {
		out = append(out, metav1.APIResource{Name: e.Name, SingularName: e.Singular, Namespaced: e.Namespaced, Kind: e.Kind,
			Verbs: e.verbs(), ShortNames: e.ShortNames, Categories: e.Categories})
		for i := range e.Subresources {
			sub := &e.Subresources[i]
			if sub.Name == "" {
				continue
			}
			kind := e.kindOf(sub)
			out = append(out, metav1.APIResource{Name: e.Name + "/" + sub.Name, Namespaced: e.Namespaced, Kind: kind.Kind, Group: kind.Group, Version: kind.Version, Verbs: subVerbs(sub)})
		}
	}
	return out
}

// subVerbs are the verbs of a subresource.
func subVerbs(sub *resource.Subresource) []string {
	switch {
	case sub.Update != nil:
		return slices.DeleteFunc([]string{"get", "patch", "update"}, func(v string) bool { return slices.Contains(sub.Without, v) })
	case sub.Create != nil:
		return []string{"create"}
	}
	var out []string
	for method, verb := range map[string]string{http.MethodPost: "create", http.MethodDelete: "delete", http.MethodGet: "get", http.MethodPatch: "patch", http.MethodPut: "update"} {
		if connects(sub, method) {
			out = append(out, verb)
		}
	}
	slices.Sort(out)
	return out
}

// plain answers with an object that does not change.
func plain(obj runtime.Object, kind string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := negotiate(r)
		if err != nil {
			WriteError(w, r, err)
			return
		}
		writeObject(w, out, http.StatusOK, obj.DeepCopyObject(), schema.GroupVersion{Version: "v1"}.WithKind(kind))
	})
}

// aggregated answers with the groups and all that is in them, if the client takes that.
func aggregated(groups []group, short runtime.Object, kind string) http.Handler {
	list := apidiscoveryv2.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{APIVersion: apidiscoveryv2.SchemeGroupVersion.String(), Kind: "APIGroupDiscoveryList"},
	}
	for _, g := range groups {
		list.Items = append(list.Items, g.aggregated())
	}
	body, _ := json.Marshal(list) // of strings
	etag := fmt.Sprintf("%q", fmt.Sprintf("%X", sha256.Sum256(body)))
	otherwise := plain(short, kind)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if !takesAggregated(r) {
			otherwise.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		w.Header().Set("ETag", etag)
		w.Header().Set("Cache-Control", "public, max-age=0")
		if strings.Contains(r.Header.Get("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(body) // an error means that the client has gone
	})
}

func takesAggregated(r *http.Request) bool {
	for _, clause := range goautoneg.ParseAccept(r.Header.Get("Accept")) {
		media, ok := mediaOf(clause)
		switch {
		case !ok || media != medias[0]:
		case clause.Params["as"] == "APIGroupDiscoveryList" && clause.Params["g"] == "apidiscovery.k8s.io" && clause.Params["v"] == "v2":
			return true
		case clause.Params["as"] == "":
			return false
		}
	}
	return false
}

func (g group) aggregated() apidiscoveryv2.APIGroupDiscovery {
	out := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: g.name}}
	for _, v := range g.byVersion {
		version := apidiscoveryv2.APIVersionDiscovery{Version: v.version, Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent}
		for _, e := range v.endpoints {
			version.Resources = append(version.Resources, e.aggregated())
		}
		out.Versions = append(out.Versions, version)
	}
	return out
}

func (e *endpoint) aggregated() apidiscoveryv2.APIResourceDiscovery {
	scope := apidiscoveryv2.ScopeCluster
	if e.Namespaced {
		scope = apidiscoveryv2.ScopeNamespace
	}
	out := apidiscoveryv2.APIResourceDiscovery{Resource: e.Name, ResponseKind: &metav1.GroupVersionKind{Kind: e.Kind}, Scope: scope,
		SingularResource: e.Singular, Verbs: e.verbs(), ShortNames: e.ShortNames, Categories: e.Categories}
	for i := range e.Subresources {
		sub := &e.Subresources[i]
		if sub.Name == "" {
			continue
		}
		kind := e.kindOf(sub)
		out.Subresources = append(out.Subresources, apidiscoveryv2.APISubresourceDiscovery{Subresource: sub.Name, ResponseKind: &kind, Verbs: subVerbs(sub)})
	}
	return out
}

// kindOf is what is sent to a subresource and returned there. No group and no version are
// those that the resource stands in.
func (e *endpoint) kindOf(sub *resource.Subresource) metav1.GroupVersionKind {
	switch kind := sub.GroupVersionKind; {
	case kind.Empty():
		return metav1.GroupVersionKind{Kind: e.Kind}
	case kind.GroupVersion() == e.GroupVersion():
		return metav1.GroupVersionKind{Kind: kind.Kind}
	default:
		return metav1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind}
	}
}
