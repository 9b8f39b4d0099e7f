package apiagree

import (
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// deleteOptions are how somebody wants something deleted, or nil.
func (p *pool) deleteOptions() *metav1.DeleteOptions {
	if p.rand.IntN(3) == 0 {
		return nil
	}
	o := &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}} // where there is a body, the query says nothing
	if p.rand.IntN(2) == 0 {
		o.GracePeriodSeconds = new(pick(p.rand, []int64{0, 1, 30, -1}))
	}
	switch p.rand.IntN(4) {
	case 0:
		o.PropagationPolicy = new(pick(p.rand, []metav1.DeletionPropagation{metav1.DeletePropagationOrphan, metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, "Odd"}))
	case 1:
		o.Preconditions = &metav1.Preconditions{UID: new(types.UID("another"))}
	case 2:
		//lint:ignore SA1019 clients of old still send it
		o.OrphanDependents = new(p.rand.IntN(2) == 0)
	}
	return o
}

var (
	labelTerms = []string{"app=web", "app==web", "app!=web", "app", "!app", "app in (web,b)", "app notin (web)", "app in ()", "a b", "=x", "app=a b", "app>1", "app>x", "-a", "x/y/z", ""}
	fieldTerms = []string{"metadata.name=seed-1", "metadata.name!=seed-1", "metadata.name==seed-2", "metadata.namespace=default", "metadata.name", "metadata.name>a", "spec.nodeName=", "spec.nodeName=n",
		"status.phase=Pending", "status.phase!=Pending", "type=Opaque", "reason=r", "involvedObject.kind=Pod", "spec.unschedulable=true", "spec.host=x", "foo=bar", "metadata.labels.app=web", "=", "a=b=c", ""}
)

// selection is a query that selects, of a list, some objects.
func (p *pool) selection() string {
	q := url.Values{}
	some := func(of []string) string {
		var terms []string
		for range 1 + p.rand.IntN(2) {
			terms = append(terms, pick(p.rand, of))
		}
		return strings.Join(terms, ",")
	}
	if p.rand.IntN(2) == 0 {
		q.Set("labelSelector", some(labelTerms))
	}
	if p.rand.IntN(2) == 0 {
		q.Set("fieldSelector", some(fieldTerms))
	}
	switch p.rand.IntN(8) {
	case 0:
		q.Set("limit", pick(p.rand, []string{"1", "2", "0", "-1", "x"}))
	case 1:
		q.Set("resourceVersion", pick(p.rand, []string{"0", "x", ""}))
	case 2:
		q.Set("resourceVersion", "0")
		q.Set("resourceVersionMatch", pick(p.rand, []string{"NotOlderThan", "Exact", "Odd"}))
	case 3:
		q.Set("resourceVersionMatch", "Exact")
	case 4:
		q.Set("timeoutSeconds", pick(p.rand, []string{"5", "x"}))
	}
	return q.Encode()
}
