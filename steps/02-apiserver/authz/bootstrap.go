package authz

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

var read = []string{"get", "list", "watch"}

// Bootstrap is what the members of a cluster may do before anybody has granted
// anything. Upstream keeps it in the cluster roles that it creates at its start:
// plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go.
func Bootstrap() Grants {
	return Grants{
		{Groups: []string{user.AllAuthenticated, user.AllUnauthenticated}, Rules: []rbacv1.PolicyRule{
			paths("/healthz", "/livez", "/readyz", "/healthz/*", "/livez/*", "/readyz/*", "/version", "/version/"),
		}},
		{Groups: []string{user.AllAuthenticated}, Rules: []rbacv1.PolicyRule{
			paths("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"),
			resources("authorization.k8s.io", []string{"create"}, "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
			resources("authentication.k8s.io", []string{"create"}, "selfsubjectreviews"),
		}},
		{Groups: []string{"system:serviceaccounts"}, Rules: []rbacv1.PolicyRule{
			paths("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/"),
		}},
		{Groups: []string{user.MonitoringGroup}, Rules: []rbacv1.PolicyRule{paths("/metrics", "/metrics/*")}},
		{Users: []string{user.KubeScheduler}, Rules: scheduler},
		{Users: []string{user.KubeControllerManager}, Rules: everything},
	}
}

// scheduler is what it reads to decide, and the few things that it writes.
var scheduler = []rbacv1.PolicyRule{
	resources("", read, "nodes", "pods", "namespaces", "services", "replicationcontrollers", "persistentvolumes", "persistentvolumeclaims"),
	resources("", []string{"delete"}, "pods"),
	resources("", []string{"create"}, "pods/binding", "bindings"),
	resources("", []string{"update", "patch"}, "pods/status"),
	resources("", []string{"create", "update", "patch"}, "events"),
	resources("events.k8s.io", []string{"create", "update", "patch"}, "events"),
	resources("apps", read, "replicasets", "statefulsets"),
	resources("policy", read, "poddisruptionbudgets"),
	resources("storage.k8s.io", read, "csinodes", "csidrivers", "csistoragecapacities", "storageclasses", "volumeattachments"),
	resources("resource.k8s.io", read, "deviceclasses", "devicetaintrules", "resourceclaims", "resourceslices"),
	resources("coordination.k8s.io", []string{"create"}, "leases"),
	named(resources("coordination.k8s.io", []string{"get", "list", "watch", "update"}, "leases"), "kube-scheduler"),
	resources("authentication.k8s.io", []string{"create"}, "tokenreviews"),
	resources("authorization.k8s.io", []string{"create"}, "subjectaccessreviews"),
}

// everything: who deletes a namespace deletes whatever is in it.
var everything = []rbacv1.PolicyRule{
	resources("*", []string{"*"}, "*"),
	{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
}

func paths(patterns ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: patterns}
}

func resources(group string, verbs []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: names}
}

func named(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	r.ResourceNames = names
	return r
}
