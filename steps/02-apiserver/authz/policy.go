package authz

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// A Policy is a file of grants, in the format of upstream's ABAC mode, so that
// the same file serves upstream's kube-apiserver: one object of JSON in each
// line, empty lines and those that begin with # aside.
//
//	{"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy",
//	 "spec": {"user": "system:serviceaccount:shop:cart", "namespace": "shop", "apiGroup": "*", "resource": "configmaps", "readonly": true}}
//
// A policy knows no verbs but reading, and a resource comes with all that is below it.
type Policy []policySpec

type policyLine struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Spec       policySpec `json:"spec"`
}

// A policySpec is read as upstream reads it: "*" is all there are, and what is
// left out is the empty word, which for a namespace is what is in none.
type policySpec struct {
	User            string `json:"user"`
	Group           string `json:"group"`
	Readonly        bool   `json:"readonly"`
	APIGroup        string `json:"apiGroup"` // "" is the core group
	Resource        string `json:"resource"`
	Namespace       string `json:"namespace"`       // "*" is also what is in no namespace
	NonResourcePath string `json:"nonResourcePath"` // a star at its end is the rest
}

const policyVersion = "abac.authorization.kubernetes.io/v1beta1"

// ReadPolicy reads a file of them.
func ReadPolicy(path string) (Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := parsePolicy(f)
	if err != nil {
		return nil, fmt.Errorf("authorization policy %s: %w", path, err)
	}
	return p, nil
}

func parsePolicy(r io.Reader) (Policy, error) {
	var all Policy
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		p, err := parsePolicyLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, p)
	}
	return all, lines.Err()
}

func parsePolicyLine(line string) (policySpec, error) {
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields() // a grant with a misspelt limit would grant more than was meant
	var p policyLine
	if err := decoder.Decode(&p); err != nil {
		return policySpec{}, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return policySpec{}, errors.New("more than one object")
	}
	if p.APIVersion != policyVersion || p.Kind != "Policy" {
		return policySpec{}, fmt.Errorf("got kind %q of %q, want Policy of %s", p.Kind, p.APIVersion, policyVersion)
	}
	if p.Spec.User == "" && p.Spec.Group == "" {
		return policySpec{}, errors.New("it is for nobody: set spec.user or spec.group")
	}
	return p.Spec, nil
}

// Authorize implements Member.
func (p Policy) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	for _, one := range p {
		if one.isFor(a.GetUser()) && one.allows(a) {
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "No policy matched.", nil
}

// RulesFor implements Member.
func (p Policy) RulesFor(_ context.Context, who user.Info, namespace string) (resources []authorizer.ResourceRuleInfo, paths []authorizer.NonResourceRuleInfo, incomplete bool, err error) {
	for _, one := range p {
		if !one.isFor(who) {
			continue
		}
		verbs := []string{"*"}
		if one.Readonly {
			verbs = read
		}
		if one.Resource != "" && is(one.Namespace, namespace) {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{Verbs: verbs, APIGroups: []string{one.APIGroup}, Resources: []string{one.Resource}})
		}
		if one.NonResourcePath != "" {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: verbs, NonResourceURLs: []string{one.NonResourcePath}})
		}
	}
	return resources, paths, false, nil
}

// isFor: if both a user and a group are named, it is for the user as a member.
func (p policySpec) isFor(who user.Info) bool {
	if who == nil {
		return false
	}
	return (p.User == "" || is(p.User, who.GetName())) && (p.Group == "" || p.Group == "*" || slices.Contains(who.GetGroups(), p.Group))
}

func (p policySpec) allows(a authorizer.Attributes) bool {
	switch {
	case p.Readonly && !a.IsReadOnly():
		return false
	case !a.IsResourceRequest():
		return p.NonResourcePath != "" && matchesPath(p.NonResourcePath, a.GetPath())
	}
	return p.Resource != "" && is(p.Resource, a.GetResource()) && is(p.APIGroup, a.GetAPIGroup()) && is(p.Namespace, a.GetNamespace())
}

func is(pattern, value string) bool { return pattern == "*" || pattern == value }
