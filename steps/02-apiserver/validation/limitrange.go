package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// LimitRange checks that limits agree with each other.
func LimitRange(l *corev1.LimitRange) field.ErrorList {
	f := &findings{}
	f.meta(&l.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	seen := sets.New[corev1.LimitType]()
	for i := range l.Spec.Limits {
		item, at := &l.Spec.Limits[i], spec.Child("limits").Index(i)
		f.limitType(item.Type, at.Child("type"))
		if seen.Has(item.Type) {
			f.duplicate(at.Child("type"), item.Type)
		}
		seen.Insert(item.Type)
		f.limits(item, at)
	}
	return f.list
}

// LimitRangeUpdate asks no more of a change.
func LimitRangeUpdate(l, _ *corev1.LimitRange) field.ErrorList { return LimitRange(l) }

func (f *findings) limitType(t corev1.LimitType, p *field.Path) {
	if bad := validation.IsQualifiedName(string(t)); len(bad) > 0 {
		f.invalid(p, t, bad...)
		return
	}
	known := t == corev1.LimitTypePod || t == corev1.LimitTypeContainer || t == corev1.LimitTypePersistentVolumeClaim
	if !known && !strings.Contains(string(t), "/") {
		f.invalid(p, t, "must be a standard limit type or fully qualified")
	}
}

func (f *findings) limits(item *corev1.LimitRangeItem, p *field.Path) {
	names := sets.New[corev1.ResourceName]()
	check := func(list corev1.ResourceList, name string) {
		for _, r := range slices.Sorted(maps.Keys(list)) {
			f.limitResource(item.Type, r, p.Child(name).Key(string(r)))
			names.Insert(r)
		}
	}
	check(item.Max, "max")
	check(item.Min, "min")
	if item.Type == corev1.LimitTypePod { // only containers are given defaults
		for name, list := range map[string]corev1.ResourceList{"default": item.Default, "defaultRequest": item.DefaultRequest} {
			if len(list) > 0 {
				f.forbidden(p.Child(name), "may not be specified when `type` is 'Pod'")
			}
		}
	} else {
		check(item.Default, "default")
		check(item.DefaultRequest, "defaultRequest")
	}
	_, min := item.Min[corev1.ResourceStorage]
	_, max := item.Max[corev1.ResourceStorage]
	if item.Type == corev1.LimitTypePersistentVolumeClaim && !min && !max {
		f.required(p.Child("limits"), "either minimum or maximum storage value is required, but neither was provided")
	}
	check(item.MaxLimitRequestRatio, "maxLimitRequestRatio")
	for _, name := range sets.List(names) {
		f.limitOrder(item, name, p)
	}
}

func (f *findings) limitResource(t corev1.LimitType, name corev1.ResourceName, p *field.Path) {
	if t == corev1.LimitTypePod || t == corev1.LimitTypeContainer {
		f.containerResource(name, p)
		return
	}
	f.resourceName(name, p)
}

// limitOrder wants min ≤ default request ≤ default ≤ max, where there are such.
func (f *findings) limitOrder(item *corev1.LimitRangeItem, name corev1.ResourceName, p *field.Path) {
	of := func(list corev1.ResourceList) *resource.Quantity {
		if q, ok := list[name]; ok {
			return &q
		}
		return nil
	}
	min, max, limit, request := of(item.Min), of(item.Max), of(item.Default), of(item.DefaultRequest)
	if item.Type == corev1.LimitTypePod {
		limit, request = nil, nil
	}
	key := func(list string) *field.Path { return p.Child(list).Key(string(name)) }
	for _, pair := range []struct {
		low, high         *resource.Quantity
		lowName, highName string
		at                string
		value             *resource.Quantity
	}{
		{min, max, "min", "max", "min", min},
		{min, request, "min", "default request", "defaultRequest", request},
		{request, max, "default request", "max", "defaultRequest", request},
		{request, limit, "default request", "default limit", "defaultRequest", request},
		{min, limit, "min", "default", "default", min},
		{limit, max, "default", "max", "default", max},
	} {
		if pair.low != nil && pair.high != nil && pair.low.Cmp(*pair.high) > 0 {
			f.invalid(key(pair.at), *pair.value, fmt.Sprintf("%s value %s is greater than %s value %s", pair.lowName, pair.low, pair.highName, pair.high))
		}
	}
	f.ratio(of(item.MaxLimitRequestRatio), min, max, key("maxLimitRequestRatio"))
	if !overcommits(name) && limit != nil && request != nil && limit.Cmp(*request) != 0 {
		f.invalid(key("defaultRequest"), *request, fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", limit, request, name))
	}
}

// ratio wants the greatest ratio of limit and request to be one that min and max allow.
func (f *findings) ratio(ratio, min, max *resource.Quantity, p *field.Path) {
	if ratio == nil {
		return
	}
	if ratio.Cmp(resource.MustParse("1")) < 0 {
		f.invalid(p, *ratio, fmt.Sprintf("ratio %s is less than 1", ratio))
	}
	if min == nil || max == nil {
		return
	}
	if greatest := max.AsApproximateFloat64() / min.AsApproximateFloat64(); ratio.AsApproximateFloat64() > greatest {
		f.invalid(p, *ratio, fmt.Sprintf("ratio %s is greater than max/min = %f", ratio, greatest))
	}
}
