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
	{"", regexp.MustCompile(`strconv\.ParseUint`), "a version that is no number is a mistake of the client's, and no error of the server's"},
	{"services", regexp.MustCompile(`duplicate nodePort`), "the same node port twice in one object is a mistake of the client's"},
	{"services", regexp.MustCompile(`is not in the valid range\. The range of valid IPs is`), "so says upstream in a dry run alone; else it says what is said here"},
	{"", regexp.MustCompile(`alone: (template\.)?spec\.volumes\[\]\.`), "of a volume of two kinds, both are checked here, and the first by upstream"},
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
