package kubeletagree

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// apart returns what is not the same and not meant to differ.
func apart(ours, theirs map[string]string) (lines []string) {
	if meantAsAWhole(ours, theirs) {
		return nil
	}
	for _, what := range changes(ours, theirs) {
		if !meant(what, ours, theirs) {
			lines = append(lines, fmt.Sprintf("%s\n      ours   %s\n      theirs %s", what, ours[what], theirs[what]))
		}
	}
	return lines
}

// changes names what is not the same.
func changes(a, b map[string]string) (names []string) {
	all := map[string]string{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	return names
}

// meantAsAWhole: upstream says of a pod that it has refused that its time is over, too; it
// looks at neither the time nor a new version while a volume is not there; and whether a pod
// ends before its time is over is chance.
func meantAsAWhole(ours, theirs map[string]string) bool {
	const over = "DeadlineExceeded"
	stuck := theirs["event FailedMount"] != "" && theirs["phase"] == "Pending"
	switch {
	case stuck && ours["observed"] != theirs["observed"]:
		return true
	case strings.HasPrefix(theirs["reason"], over) && !strings.HasPrefix(ours["reason"], over):
		return strings.Contains(ours["reason"], "Pod was rejected") || ours["phase"] == "Succeeded"
	case strings.HasPrefix(ours["reason"], over) && !strings.HasPrefix(theirs["reason"], over):
		return stuck || theirs["phase"] == "Succeeded"
	}
	return false
}

// burst is how many events about a pod are sent at a time; of more, some are dropped.
const burst = 25

// meant: which events are lost is chance, and what is just about to happen when a pod's time is
// over, or it is deleted. A pod that is stopped for good may be resized upstream, and how its
// containers ended that waited to be started again is forgotten, as is that an init container has
// done its work when it was told to stop. What is said last of one that was deleted is not its
// conditions.
func meant(what string, ours, theirs map[string]string) bool {
	ended := ours["phase"] == theirs["phase"] && (ours["phase"] == string(corev1.PodFailed) || ours["phase"] == string(corev1.PodSucceeded))
	gone := ours["is"] == "gone" && theirs["is"] == "gone"
	inTime := ended && strings.HasPrefix(ours["reason"], "DeadlineExceeded")
	switch {
	case what == dropped:
		return true
	case strings.HasPrefix(what, "event "):
		atTheEnd := slices.ContainsFunc([]string{"BackOff", "Unhealthy", "Resize", "Killing", "FailedPreStopHook"}, func(r string) bool { return strings.HasPrefix(what, "event "+r) })
		return ours[dropped]+theirs[dropped] != "" || ended && atTheEnd || gone && what == "event DeadlineExceeded"
	case what == "reason":
		return gone
	case strings.HasPrefix(what, "log of "):
		return ended
	case strings.HasSuffix(what, ", is"):
		return gone || inTime
	case strings.Contains(theirs[what], "ContainerStatusUnknown"):
		return strings.HasPrefix(ours[what], "terminated ")
	case strings.HasPrefix(ours[what], "terminated "), strings.HasPrefix(ours[what], "waiting "):
		return ended && theirs[what] == "waiting PodInitializing: " || inTime && strings.HasPrefix(theirs[what], "terminated ")
	case what == "condition Initialized":
		return inTime
	case what == "condition Ready", what == "condition ContainersReady":
		return gone && strings.HasPrefix(ours[what], "False PodFailed")
	}
	return false
}
