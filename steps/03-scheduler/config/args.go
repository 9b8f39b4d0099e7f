package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// validateArgs says what is wrong with the arguments of a plugin.
// Upstream: pkg/scheduler/apis/config/validation/validation_pluginargs.go.
func validateArgs(object runtime.Object, path *field.Path) field.ErrorList {
	switch args := object.(type) {
	case *configv1.DefaultPreemptionArgs:
		return validatePreemption(*args.MinCandidateNodesPercentage, *args.MinCandidateNodesAbsolute, path)
	case *configv1.InterPodAffinityArgs:
		return within(int64(*args.HardPodAffinityWeight), 0, 100, path.Child("hardPodAffinityWeight"))
	case *configv1.NodeAffinityArgs:
		return validateAddedAffinity(args.AddedAffinity, path.Child("addedAffinity"))
	case *configv1.NodeResourcesBalancedAllocationArgs:
		return validateBalanced(args.Resources, path.Child("resources"))
	case *configv1.NodeResourcesFitArgs:
		return validateFit(args, path)
	case *configv1.PodTopologySpreadArgs:
		return validateSpread(args, path)
	}
	return nil
}

func within(n, least, most int64, path *field.Path) (errs field.ErrorList) {
	if n < least || n > most {
		errs = append(errs, field.Invalid(path, n, fmt.Sprintf("not in valid range [%d, %d]", least, most)))
	}
	return errs
}

func validatePreemption(percentage, absolute int32, path *field.Path) field.ErrorList {
	percentagePath, absolutePath := path.Child("minCandidateNodesPercentage"), path.Child("minCandidateNodesAbsolute")
	errs := within(int64(percentage), 0, 100, percentagePath)
	if absolute < 0 {
		errs = append(errs, field.Invalid(absolutePath, absolute, "not in valid range [0, inf)"))
	}
	if percentage == 0 && absolute == 0 {
		errs = append(errs,
			field.Invalid(percentagePath, percentage, "cannot be zero at the same time as minCandidateNodesAbsolute"),
			field.Invalid(absolutePath, absolute, "cannot be zero at the same time as minCandidateNodesPercentage"))
	}
	return errs
}

func validateAddedAffinity(added *corev1.NodeAffinity, path *field.Path) (errs field.ErrorList) {
	if added == nil {
		return nil
	}
	check := func(err error) {
		var one *field.Error
		if errors.As(err, &one) {
			errs = append(errs, one)
		}
	}
	if required := added.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		_, err := nodeaffinity.NewNodeSelector(required, field.WithPath(path.Child("requiredDuringSchedulingIgnoredDuringExecution")))
		each(err, check)
	}
	_, err := nodeaffinity.NewPreferredSchedulingTerms(added.PreferredDuringSchedulingIgnoredDuringExecution,
		field.WithPath(path.Child("preferredDuringSchedulingIgnoredDuringExecution")))
	each(err, check)
	return errs
}

// each calls f for every error that is put together in err.
func each(err error, f func(error)) {
	if several, ok := err.(interface{ Errors() []error }); ok {
		for _, one := range several.Errors() {
			each(one, f)
		}
	} else if err != nil {
		f(err)
	}
}

func validateBalanced(resources []configv1.ResourceSpec, path *field.Path) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i, r := range resources {
		if seen[r.Name] {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), r.Name))
		}
		seen[r.Name] = true
		if r.Weight != 1 {
			errs = append(errs, field.Invalid(path.Index(i).Child("weight"), r.Weight, "must be 1"))
		}
	}
	return errs
}

func validateFit(args *configv1.NodeResourcesFitArgs, path *field.Path) (errs field.ErrorList) {
	for i, name := range args.IgnoredResources {
		errs = append(errs, metav1validation.ValidateLabelName(name, path.Child("ignoredResources").Index(i))...)
	}
	for i, group := range args.IgnoredResourceGroups {
		path := path.Child("ignoredResourceGroups").Index(i)
		if strings.Contains(group, "/") {
			errs = append(errs, field.Invalid(path, group, "resource group name can't contain '/'"))
		}
		errs = append(errs, metav1validation.ValidateLabelName(group, path)...)
	}
	return append(errs, validateStrategy(args.ScoringStrategy, path.Child("scoringStrategy"))...)
}

func validateStrategy(s *configv1.ScoringStrategy, path *field.Path) (errs field.ErrorList) {
	types := []configv1.ScoringStrategyType{configv1.LeastAllocated, configv1.MostAllocated, configv1.RequestedToCapacityRatio}
	if !slices.Contains(types, s.Type) {
		errs = append(errs, field.NotSupported(path.Child("type"), s.Type, types))
	}
	for i, r := range s.Resources {
		if r.Weight <= 0 || r.Weight > 100 {
			errs = append(errs, field.Invalid(path.Child("resources").Index(i).Child("weight"), r.Weight,
				fmt.Sprintf("resource weight of %v not in valid range (0, 100]", r.Name)))
		}
	}
	ratio, path := s.RequestedToCapacityRatio, path.Child("requestedToCapacityRatio")
	switch {
	case s.Type != configv1.RequestedToCapacityRatio && ratio != nil:
		errs = append(errs, field.Forbidden(path, "must be nil when type is not RequestedToCapacityRatio"))
	case s.Type == configv1.RequestedToCapacityRatio && ratio == nil:
		errs = append(errs, field.Required(path, "must be specified when type is RequestedToCapacityRatio"))
	case ratio != nil:
		errs = append(errs, validateShape(ratio.Shape, path.Child("shape"))...)
	}
	return errs
}

func validateShape(shape []configv1.UtilizationShapePoint, path *field.Path) (errs field.ErrorList) {
	if len(shape) == 0 {
		return field.ErrorList{field.Required(path, "at least one point must be specified")}
	}
	for i, p := range shape {
		if i > 0 && shape[i-1].Utilization >= p.Utilization {
			errs = append(errs, field.Invalid(path.Index(i).Child("utilization"), p.Utilization, "values must be sorted in increasing order"))
			break
		}
	}
	for i, p := range shape {
		errs = append(errs, within(int64(p.Utilization), 0, 100, path.Index(i).Child("utilization"))...)
		errs = append(errs, within(int64(p.Score), 0, 10, path.Index(i).Child("score"))...)
	}
	return errs
}

func validateSpread(args *configv1.PodTopologySpreadArgs, path *field.Path) (errs field.ErrorList) {
	typePath, path := path.Child("defaultingType"), path.Child("defaultConstraints")
	types := []configv1.PodTopologySpreadConstraintsDefaulting{configv1.SystemDefaulting, configv1.ListDefaulting}
	if !slices.Contains(types, args.DefaultingType) {
		errs = append(errs, field.NotSupported(typePath, args.DefaultingType, types))
	}
	if args.DefaultingType == configv1.SystemDefaulting && len(args.DefaultConstraints) > 0 {
		errs = append(errs, field.Invalid(typePath, args.DefaultingType, "when .defaultConstraints are not empty"))
	}
	for i, c := range args.DefaultConstraints {
		errs = append(errs, validateConstraint(c, path.Index(i))...)
		if slices.ContainsFunc(args.DefaultConstraints[:i], func(o corev1.TopologySpreadConstraint) bool {
			return o.TopologyKey == c.TopologyKey && o.WhenUnsatisfiable == c.WhenUnsatisfiable
		}) {
			errs = append(errs, field.Duplicate(path.Index(i), fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable)))
		}
	}
	return errs
}

func validateConstraint(c corev1.TopologySpreadConstraint, path *field.Path) (errs field.ErrorList) {
	if c.MaxSkew <= 0 {
		errs = append(errs, field.Invalid(path.Child("maxSkew"), c.MaxSkew, "not in valid range (0, inf)"))
	}
	if c.TopologyKey == "" {
		errs = append(errs, field.Required(path.Child("topologyKey"), "can not be empty"))
	} else {
		errs = append(errs, metav1validation.ValidateLabelName(c.TopologyKey, path.Child("topologyKey"))...)
	}
	actions := []corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}
	switch {
	case c.WhenUnsatisfiable == "":
		errs = append(errs, field.Required(path.Child("whenUnsatisfiable"), "can not be empty"))
	case !slices.Contains(actions, c.WhenUnsatisfiable):
		errs = append(errs, field.NotSupported(path.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, actions))
	}
	if c.LabelSelector != nil {
		errs = append(errs, field.Forbidden(path.Child("labelSelector"), "constraint must not define a selector, as they deduced for each pod"))
	}
	return errs
}
