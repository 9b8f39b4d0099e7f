package spec

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestSetLimits(t *testing.T) {
	for _, c := range []struct {
		name, pids, ulimits string
		want                []specs.POSIXRlimit
		wantPIDs            int64
		bad                 bool
	}{
		{name: "none"},
		{name: "processes", pids: "20", wantPIDs: 20},
		{name: "one value for both", ulimits: "core=0", want: []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}}},
		{name: "several, and unlimited", ulimits: "stack=1:2,cpu=3:unlimited",
			want: []specs.POSIXRlimit{{Type: "RLIMIT_STACK", Soft: 1, Hard: 2}, {Type: "RLIMIT_CPU", Soft: 3, Hard: math.MaxUint64}}},
		{name: "files no higher than the machine lets us", ulimits: "nofile=4096:unlimited", want: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 1024}}},
		{name: "no processes", pids: "0", bad: true},
		{name: "not a number", pids: "many", bad: true},
		{name: "unknown limit", ulimits: "patience=1", bad: true},
		{name: "no value", ulimits: "core", bad: true},
		{name: "soft above hard", ulimits: "core=2:1", bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			annotations := map[string]string{AnnotationUlimits: c.ulimits}
			if c.pids != "" {
				annotations[AnnotationPIDs] = c.pids
			}
			s := &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{Resources: &specs.LinuxResources{}}}
			err := setLimits(s, annotations, Host{MaxFiles: 1024})
			if bad := err != nil; bad != c.bad {
				t.Fatalf("got error %v, want one: %v", err, c.bad)
			}
			if c.bad {
				return
			}
			if diff := cmp.Diff(c.want, s.Process.Rlimits); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			var pids int64
			if p := s.Linux.Resources.Pids; p != nil {
				pids = *p.Limit
			}
			if pids != c.wantPIDs {
				t.Errorf("got a limit of %d processes, want %d", pids, c.wantPIDs)
			}
		})
	}
}
