// Package authz decides what a user who is known may do.
//
// Every request is a sentence: a user wants to (verb) a resource, perhaps of a
// name, in a namespace; or to get a path that is no resource's. An authorizer
// allows it or has no opinion, and what nobody allows is forbidden. Decisions are
// made of the sentence alone: what an object says inside is looked at by
// admission, once it has been decoded.
//
// Four authorizers answer here, in this order: administrators may do all; a node
// may do what its own pods need; what every member of a cluster must do to be one;
// and the policy that the administrator has written in a file. Service accounts
// are in none of them but for discovery and questions about themselves: a
// program in a pod gets nothing that nobody gave it. RBAC, which keeps such grants
// as objects, is one more authorizer in the list.
package authz

import (
	"context"
	"errors"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// An Authorizer is upstream's: step 11 and upstream's own fit in its place.
type Authorizer = authorizer.Authorizer

// A Member decides for some users, and tells what it would allow them, for
// `kubectl auth can-i --list`.
type Member interface {
	authorizer.UnconditionalAuthorizer
	authorizer.RuleResolver
}

// Union asks one member after the other until one has an opinion. The reasons of
// the others are told together if none has.
type Union []Member

var _ interface {
	Authorizer
	authorizer.RuleResolver
} = Union(nil)

// Authorize implements Authorizer.
func (u Union) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	var reasons []string
	var errs []error
	for _, m := range u {
		decision, reason, err := m.Authorize(ctx, a)
		if decision != authorizer.DecisionNoOpinion {
			return decision, reason, err
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
		errs = append(errs, err)
	}
	return authorizer.DecisionNoOpinion, strings.Join(reasons, "\n"), errors.Join(errs...)
}

// ConditionsAwareAuthorize implements Authorizer: there are no conditions here.
func (u Union) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(u.Authorize(ctx, a))
}

// EvaluateConditions implements Authorizer.
func (u Union) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor implements authorizer.RuleResolver: the rules of all members together.
func (u Union) RulesFor(ctx context.Context, who user.Info, namespace string) (resources []authorizer.ResourceRuleInfo, paths []authorizer.NonResourceRuleInfo, incomplete bool, err error) {
	var errs []error
	for _, m := range u {
		r, p, i, err := m.RulesFor(ctx, who, namespace)
		resources, paths, incomplete = append(resources, r...), append(paths, p...), incomplete || i
		errs = append(errs, err)
	}
	return resources, paths, incomplete, errors.Join(errs...)
}

// Everything allows all to the members of a group: system:masters, whose
// members no policy can lock out.
type Everything struct{ Group string }

// Authorize implements Member.
func (e Everything) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser() != nil && slices.Contains(a.GetUser().GetGroups(), e.Group) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// RulesFor implements Member.
func (e Everything) RulesFor(_ context.Context, who user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if !slices.Contains(who.GetGroups(), e.Group) {
		return nil, nil, false, nil
	}
	all := []string{"*"}
	return []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{Verbs: all, APIGroups: all, Resources: all}},
		[]authorizer.NonResourceRuleInfo{&authorizer.DefaultNonResourceRuleInfo{Verbs: all, NonResourceURLs: all}}, false, nil
}
