package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Annotations of a container that ask for what the CRI has no fields for. They
// are the command line's: a kubelet passes no annotation of a pod on to them.
const (
	AnnotationPIDs    = "groundup.dev/pids-limit" // how many processes and threads there may be
	AnnotationUlimits = "groundup.dev/ulimits"    // NAME=SOFT[:HARD], separated by commas, as in nofile=1024:4096
)

func setLimits(s *specs.Spec, annotations map[string]string, h Host) error {
	if text, ok := annotations[AnnotationPIDs]; ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return fmt.Errorf("limit of processes %q: want a number from 1 on", text)
		}
		s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &n}
	}
	for text := range strings.SplitSeq(annotations[AnnotationUlimits], ",") {
		if text == "" {
			continue
		}
		limit, err := parseUlimit(text)
		if err != nil {
			return fmt.Errorf("ulimit %q: %w", text, err)
		}
		if limit.Type == "RLIMIT_NOFILE" { // no higher than this process may
			limit.Hard = min(limit.Hard, h.MaxFiles)
			limit.Soft = min(limit.Soft, limit.Hard)
		}
		s.Process.Rlimits = append(s.Process.Rlimits, limit)
	}
	return nil
}

// ulimits are the names of getrlimit(2), as ulimit and Docker spell them.
var ulimits = []string{
	"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue",
	"nice", "nofile", "nproc", "rss", "rtprio", "sigpending", "stack",
}

func parseUlimit(text string) (specs.POSIXRlimit, error) {
	name, values, _ := strings.Cut(text, "=")
	if !slices.Contains(ulimits, name) {
		return specs.POSIXRlimit{}, fmt.Errorf("want one of %s", strings.Join(ulimits, ", "))
	}
	soft, hard, both := strings.Cut(values, ":")
	if !both {
		hard = soft
	}
	l := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(name)}
	var ok1, ok2 bool
	l.Soft, ok1 = limit(soft)
	l.Hard, ok2 = limit(hard)
	if !ok1 || !ok2 || l.Soft > l.Hard {
		return specs.POSIXRlimit{}, fmt.Errorf("want NAME=SOFT[:HARD], numbers or unlimited, the soft limit not above the hard one")
	}
	return l, nil
}

func limit(text string) (uint64, bool) {
	if text == "unlimited" || text == "-1" {
		return unix.RLIM_INFINITY, true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}
