package apiagree

import (
	"regexp"
	"slices"
)

// explained are differences that are meant, each with the reason. Where one is
// found, the rest of the two answers is not compared either.
var explained = []struct {
	row     string // or all
	pattern *regexp.Regexp
	because string
}{
	{"nodes", regexp.MustCompile(`^\.spec\.taints: `), "upstream taints a new node, and its node controller takes that back: there is none before step 04"},
	{"endpoints", regexp.MustCompile(`^warning: theirs alone: `), "upstream advises EndpointSlices, which there are none of before step 05"},
	{"", regexp.MustCompile(`StorageError: invalid object`), "upstream shows an error of its storage when a UID is another's"},
	{"", regexp.MustCompile(`^\.metadata\.continue: nothing, not`), "the last page of a selection is known to be the last; upstream lets the client ask for one that is empty"},
	{"", regexp.MustCompile(`theirs alone: BadRequest: field label not supported for `), "of a field that nobody can be selected by, upstream names the kind of some of those who have it not"},
	{"", regexp.MustCompile(`strconv\.ParseUint`), "a version that is no number is a mistake of the client's, and no error of the server's"},
	{"services", regexp.MustCompile(`^\d+, not 0$`), "upstream panics at two families for a headless service with node ports that has none"},
	{"services", regexp.MustCompile(`duplicate nodePort|provided port is already allocated`), "the same node port twice in one object is a mistake of the client's"},
	{"services", regexp.MustCompile(`is not in the valid range\. The range of valid IPs is`), "so says upstream in a dry run alone; else it says what is said here"},
	{"", regexp.MustCompile(`alone: (template\.)?spec\.volumes\[\]\.`), "of a volume of two kinds, both are checked here, and the first by upstream"},
	{"services", regexp.MustCompile(`internalTrafficPolicy|release the secondary IP family|when multiple IP families are specified|valid ports is 0-0`), "left out: what an ExternalName says of traffic, two families that become one, and node ports that an update brings"},
	{"services", regexp.MustCompile(`not configured on this cluster|failed to check for dual stack`), "upstream tells two things of one bad value"},
	{"pods", regexp.MustCompile(`invalid resource name`), "a class or an account of an impossible name is not found here; upstream asks itself for it, and is refused"},
	{"namespaces", regexp.MustCompile(`UID in precondition`), "that somebody means another object is said in other words of namespaces, upstream"},
	{"events", regexp.MustCompile(`^\.metadata\.remainingItemCount`), "each server tells of its own things, too"},
	{"namespaces", regexp.MustCompile(`^\.metadata\.finalizers: nothing, not`), "orphanDependents: false of old clients makes a namespace wait for a garbage collector upstream; there is none before step 04"},
	{"", regexp.MustCompile(`theirs alone: Conflict: .* in the precondition`), "of a collection that is deleted, each server tells of another object first"},
	{"", regexp.MustCompile(`alone: propagationPolicy: Unsupported value`), "of a wrong selector and wrong options, each server tells of another one first"},
	{"podtemplates", regexp.MustCompile(`ephemeralContainers\[\]\.resizePolicy`), "of containers that may not be there, upstream checks more"},
	{"namespaces", regexp.MustCompile(`may only be 'Terminating'`), "whether a namespace is to end decides its phase here"},
	{"pods", regexp.MustCompile(`static pods do not support resource claims`), "a claim that a mirror pod may not have is checked all the same"},
	{"", regexp.MustCompile(`localhostProfile: Invalid value: \{|minAvailable and maxUnavailable cannot be both set|podIP and podIPs must either both be set`), "upstream shows its inner type, whose fields have other names"},
	{"csinodes", regexp.MustCompile(`^\.spec\.drivers: conflict with|Invalid: the server rejected our request due to an error in our request|topologyKeys: (conflict with|\{\}, not nothing|\[\], not nothing)|spec\.drivers: Invalid value: .*field is immutable|cannot unmarshal array into Go struct field CSINode|f:spec: \{"":\{\}\}, not nothing|^spec\.drivers\[\]\.name: Duplicate value|theirs alone: spec\.drivers\[\]\.name: Duplicate value`), "an empty list is one here, and none in upstream's store"},
	{"runtimeclasses", regexp.MustCompile(`handler: Invalid value: .*(field is immutable|must be no more than)`), "upstream says it in the words of its declarative validation: null, characters"},
	{"nodes", regexp.MustCompile(`failed to check with dual stack|declaredFeatures\[\]: .*must be (no more|sorted)`), "upstream tells two or three things of one bad value"},
	{"", regexp.MustCompile(`spec\.resources\.claims\[\]`), "claims of a whole pod are refused, and their names not looked at"},
	{"pods", regexp.MustCompile(`only deletion is allowed, but found new scheduling gate|for non-sidecar initContainers`), "an update that is refused is told one thing more, or less"},
	{"pods", regexp.MustCompile(`^ours alone: .*Pod Overhead set without`), "who is refused by two is told of one: here of admission, upstream of validation"},
}

// explanation returns why a row's answers are different, "" if nobody has said.
func explanation(row string, where []string) string {
	for _, e := range explained {
		if (e.row == "" || e.row == row) && slices.ContainsFunc(where, e.pattern.MatchString) {
			return e.because
		}
	}
	return ""
}
