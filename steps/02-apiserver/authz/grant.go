package authz

import (
	"context"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// A Grant allows what its rules say to its users and to the members of its
// groups. The rules are RBAC's, and read as RBAC reads them; who has which of
// them is said here, and will be said by objects later.
type Grant struct {
	Users, Groups []string
	Rules         []rbacv1.PolicyRule
}

// Grants is a fixed list of them.
type Grants []Grant

// Authorize implements Member.
func (g Grants) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	for _, one := range g {
		if one.isFor(a.GetUser()) && Allows(one.Rules, a) {
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// RulesFor implements Member.
func (g Grants) RulesFor(_ context.Context, who user.Info, _ string) (resources []authorizer.ResourceRuleInfo, paths []authorizer.NonResourceRuleInfo, incomplete bool, err error) {
	for _, one := range g {
		if !one.isFor(who) {
			continue
		}
		for _, r := range one.Rules {
			if len(r.Resources) > 0 {
				resources = append(resources, &authorizer.DefaultResourceRuleInfo{Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
			}
			if len(r.NonResourceURLs) > 0 {
				paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
			}
		}
	}
	return resources, paths, false, nil
}

func (g Grant) isFor(who user.Info) bool {
	if who == nil {
		return false
	}
	return slices.Contains(g.Users, who.GetName()) || slices.ContainsFunc(g.Groups, func(group string) bool { return slices.Contains(who.GetGroups(), group) })
}

// Allows says whether one of the rules of RBAC allows what is asked for.
// Upstream: plugin/pkg/auth/authorizer/rbac/rbac.go, RuleAllows.
func Allows(rules []rbacv1.PolicyRule, a authorizer.Attributes) bool {
	return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
		if !has(r.Verbs, a.GetVerb()) {
			return false
		}
		if !a.IsResourceRequest() {
			return slices.ContainsFunc(r.NonResourceURLs, func(pattern string) bool { return matchesPath(pattern, a.GetPath()) })
		}
		return has(r.APIGroups, a.GetAPIGroup()) && hasResource(r.Resources, a) &&
			(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.GetName()))
	})
}

// has says whether a list of a rule names the value, or all there are.
func has(list []string, value string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, value)
}

// hasResource: "pods" is pods and nothing below them, "pods/log" is that, and
// "*/scale" is that of every resource.
func hasResource(list []string, a authorizer.Attributes) bool {
	if a.GetSubresource() == "" {
		return has(list, a.GetResource())
	}
	return has(list, a.GetResource()+"/"+a.GetSubresource()) || slices.Contains(list, "*/"+a.GetSubresource())
}

// matchesPath: a star stands for the rest of a path.
func matchesPath(pattern, path string) bool {
	start, open := strings.CutSuffix(pattern, "*")
	return pattern == path || open && strings.HasPrefix(path, start)
}
