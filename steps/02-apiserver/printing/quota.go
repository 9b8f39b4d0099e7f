package printing

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ResourceQuotaColumns are the columns of quotas.
var ResourceQuotaColumns = columns{
	name,
	column("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
	column("Limit", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
	age,
}

// ResourceQuota is the line of a quota: what is used of what there is.
func ResourceQuota(q *corev1.ResourceQuota) []any {
	var requests, limits []string
	for _, name := range slices.Sorted(maps.Keys(q.Status.Hard)) {
		used, hard := q.Status.Used[name], q.Status.Hard[name]
		text := fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String())
		if strings.HasPrefix(string(name), "limits.") {
			limits = append(limits, text)
		} else {
			requests = append(requests, text)
		}
	}
	return []any{q.Name, strings.Join(requests, ", "), strings.Join(limits, ", "), ageOf(q)}
}
