// Package rows is the API of the cluster as a table: one row for each resource,
// in a file of its own.
//
// A row is data. It names the resource, says where it is kept, and points to the
// functions that know its kind: those in defaulting fill in what was left out, those in
// validation refuse, those in printing write the line that kubectl shows. What
// the server sets by itself, and what an ordinary client may not touch, is the
// row's strategy and stands beside it.
//
// To add a resource, copy the shortest row (limitranges), and append it to [All].
// The server, its discovery and its OpenAPI documents follow from the table.
package rows

import "github.com/k8s-groundup/groundup/steps/02-apiserver/resource"

// All returns the rows of this step. The caller may change what it got.
func All() []resource.Resource {
	return []resource.Resource{
		Namespaces(),
		Nodes(),
		Pods(),
		Bindings(),
		ConfigMaps(),
		Secrets(),
		ServiceAccounts(),
		Services(),
		Endpoints(),
		Events(),
		PodTemplates(),
		LimitRanges(),
		ResourceQuotas(),

		EventsV1(), // the same events as seen through the group events.k8s.io
		Leases(),
		PriorityClasses(),
		RuntimeClasses(),
	}
}
