// Package schedulertest puts the same questions to the scheduler of step 03 and
// to upstream's plugins, about thousands of random clusters, and checks that no
// hint keeps a pod waiting.
//
// It is a module of its own because of upstream's replace lines; see the folder
// above. Run it as upstream's components are built, so that they share a cache:
//
//	cd tools/upstream/schedulertest
//	GOWORK=off CGO_ENABLED=0 go test -trimpath . -args -cases=5000
//
// A case is made from its number, so one that fails can be run alone: -first=N
// -cases=1.
//
// # Where the two differ
//
// The generator leaves these cases out, and each has a reason:
//
//   - Two pods on one node with the same host port, which no scheduler would
//     allow. When one of them goes, upstream takes the port for free; we count.
//   - Scores of NodeResourcesFit for pods with requests of the pod as a whole
//     (spec.resources). Upstream's scorer is not told of the feature and ignores
//     them for the pod in question, while it counts them for the pods on the node.
//     We count them for both.
//   - Preemption of pods that are being deleted already by a pod with topology
//     spread constraints. Counting skips such pods, but upstream's RemovePod takes
//     them off the count nevertheless. We count them neither way.
//   - Whole decisions for pods with topology spread constraints whose selector is
//     empty. Counting takes that for "no pods", but upstream's AddPod and
//     RemovePod take it for "all pods" where pods are nominated or preempted. We
//     take it for "no pods" throughout.
//   - The order of reasons for several extended resources is that of a map
//     upstream, and alphabetic with us: reasons are compared as sets.
//
// Hints are compared with what filters say before and after an event, and not
// with upstream's, which leave these to the timeout of the queue: a node that
// comes, or changes its labels, for a pod that just the anti-affinity of others
// keeps away; the last pod of a group that goes, for one that may then be the
// first; a node that comes to match affinity which an administrator has added.
package schedulertest
