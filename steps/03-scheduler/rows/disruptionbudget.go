package rows

import (
	"regexp"
	"strconv"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
)

type budget = policyv1.PodDisruptionBudget

// DisruptionBudgets is the row of pod disruption budgets: how many pods of a kind
// may be taken away at a time. Their status, which says how many that is now, is a
// controller's to write; until there is one it is the reader's own.
func DisruptionBudgets() resource.Resource {
	status := resource.Strategy{
		VersionOnUpdate:  true,
		PrepareForUpdate: typed.OnUpdate(func(b, old *budget) { b.Spec = old.Spec }),
		ValidateUpdate:   typed.Two(validateBudgetStatus),
	}
	return resource.Resource{
		GroupVersionKind: policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
		Name:             "poddisruptionbudgets",
		Singular:         "poddisruptionbudget",
		ShortNames:       []string{"pdb"},
		Namespaced:       true,
		Prefix:           "poddisruptionbudgets",
		New:              typed.New[budget],
		NewList:          typed.List[policyv1.PodDisruptionBudgetList],
		Strategy: resource.Strategy{
			VersionOnUpdate:  true,
			PrepareForCreate: typed.OnCreate(func(b *budget) { b.Status, b.Generation = policyv1.PodDisruptionBudgetStatus{}, 1 }),
			PrepareForUpdate: typed.OnUpdate(func(b, old *budget) { b.Status = old.Status }),
			Validate:         typed.One(validateBudget),
			ValidateUpdate:   typed.Two(validateBudgetUpdate),
		},
		Subresources: []resource.Subresource{typed.Status(status)},
		Columns: []metav1.TableColumnDefinition{
			{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]},
			{Name: "Min Available", Type: "string", Description: "The minimum number of pods that must be available."},
			{Name: "Max Unavailable", Type: "string", Description: "The maximum number of pods that may be unavailable."},
			{Name: "Allowed Disruptions", Type: "integer", Description: "Calculated number of pods that may be disrupted at this time."},
			{Name: "Age", Type: "string", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]},
		},
		Cells: typed.One(func(b *budget) []any {
			age := duration.HumanDuration(time.Since(b.CreationTimestamp.Time))
			return []any{b.Name, orNA(b.Spec.MinAvailable), orNA(b.Spec.MaxUnavailable), int64(b.Status.DisruptionsAllowed), age}
		}),
	}
}

func orNA(v *intstr.IntOrString) string {
	if v == nil {
		return "N/A"
	}
	return v.String()
}

// validateBudget follows upstream's pkg/apis/policy/validation.
func validateBudget(b *budget) field.ErrorList {
	return validateBudgetSpec(b.Spec, metavalidation.LabelSelectorValidationOptions{})
}

// validateBudgetUpdate lets a selector stay wrong that has been taken once.
func validateBudgetUpdate(b, old *budget) field.ErrorList {
	strict := metavalidation.LabelSelectorValidationOptions{}
	wrong := len(metavalidation.ValidateLabelSelector(old.Spec.Selector, strict, nil)) > 0
	return validateBudgetSpec(b.Spec, metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: wrong})
}

func validateBudgetSpec(s policyv1.PodDisruptionBudgetSpec, selectors metavalidation.LabelSelectorValidationOptions) (errs field.ErrorList) {
	spec := field.NewPath("spec")
	if s.MinAvailable != nil && s.MaxUnavailable != nil {
		errs = append(errs, field.Invalid(spec, s, "minAvailable and maxUnavailable cannot be both set"))
	}
	errs = append(errs, validateAmount(s.MinAvailable, spec.Child("minAvailable"))...)
	errs = append(errs, validateAmount(s.MaxUnavailable, spec.Child("maxUnavailable"))...)
	errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, selectors, spec.Child("selector"))...)
	if p := s.UnhealthyPodEvictionPolicy; p != nil && *p != policyv1.IfHealthyBudget && *p != policyv1.AlwaysAllow {
		errs = append(errs, field.NotSupported(spec.Child("unhealthyPodEvictionPolicy"), *p, []policyv1.UnhealthyPodEvictionPolicyType{policyv1.AlwaysAllow, policyv1.IfHealthyBudget}))
	}
	return errs
}

var percent = regexp.MustCompile(`^([0-9]+)%$`)

// validateAmount checks a number of pods, or a percentage of them.
func validateAmount(v *intstr.IntOrString, at *field.Path) (errs field.ErrorList) {
	switch {
	case v == nil:
	case v.Type == intstr.Int:
		return apivalidation.ValidateNonnegativeField(int64(v.IntVal), at)
	default:
		for _, message := range validation.IsValidPercent(v.StrVal) {
			errs = append(errs, field.Invalid(at, *v, message))
		}
		if m := percent.FindStringSubmatch(v.StrVal); m != nil {
			if n, err := strconv.Atoi(m[1]); err != nil || n > 100 {
				errs = append(errs, field.Invalid(at, *v, "must not be greater than 100%"))
			}
		}
	}
	return errs
}

func validateBudgetStatus(b, _ *budget) field.ErrorList {
	status := field.NewPath("status")
	errs := metavalidation.ValidateConditions(b.Status.Conditions, status.Child("conditions"))
	for _, f := range []struct {
		name string
		n    int32
	}{
		{"disruptionsAllowed", b.Status.DisruptionsAllowed}, {"currentHealthy", b.Status.CurrentHealthy},
		{"desiredHealthy", b.Status.DesiredHealthy}, {"expectedPods", b.Status.ExpectedPods},
	} {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(f.n), status.Child(f.name))...)
	}
	return errs
}
