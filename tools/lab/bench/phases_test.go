package bench

import (
	"math"
	"strings"
	"testing"
)

// A start as the kernel tells it, with what others do in between.
const traceOfAStart = `# tracer: nop
#
           bench-100   [000] .....  10.000000: tracing_mark_write: asked
           bench-101   [001] .....  10.001000: cgroup_attach_task: dst_root=2 dst_id=1 dst_level=0 dst_path=/ pid=100 comm=bench
               6-200   [001] .....  10.004000: sched_process_exec: filename=/proc/self/fd/6 pid=200 old_pid=200
             sh-300    [001] .....  10.004500: task_rename: pid=300 oldcomm=a newcomm=b oom_score_adj=0
            shim-150   [000] .....  10.005000: cgroup_attach_task: dst_root=2 dst_id=9 dst_level=1 dst_path=/a pid=200 comm=6
            shim-150   [000] .....  10.006000: cgroup_attach_task: dst_root=3 dst_id=9 dst_level=1 dst_path=/a pid=200 comm=6
               6-201   [001] .....  10.006500: task_rename: pid=201 oldcomm=6 newcomm=runc:[1:CHILD] oom_score_adj=0
   runc:[1:CHILD-202   [001] .....  10.007000: task_rename: pid=202 oldcomm=runc:[1:CHILD] newcomm=runc:[2:INIT] oom_score_adj=0
   runc:[1:CHILD-201   [001] .....  10.007500: sys_mount(dev_name: 0, dir_name: 0, type: 0, flags: 0, data: 0)
   runc:[2:INIT]-202   [001] .....  10.009000: sys_mount(dev_name: 0, dir_name: 0, type: 0, flags: 0, data: 0)
   runc:[2:INIT]-202   [001] .....  10.010000: sys_mount(dev_name: 0, dir_name: 0, type: 0, flags: 0, data: 0)
   runc:[2:INIT]-202   [001] .....  10.014000: sys_pivot_root(new_root: 0, put_old: 0)
           bench-100   [000] .....  10.016000: tracing_mark_write: answered
`

func TestPhases(t *testing.T) {
	got, err := phases(parseTrace(traceOfAStart))
	if err != nil {
		t.Fatal(err)
	}
	want := []float64{4, 2, 1, 2, 5, 2}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-6 {
			t.Errorf("%s: got %v ms, want %v", phaseNames[i], got[i], want[i])
		}
	}
	for _, missing := range []string{"asked", "sched_process_exec", "newcomm=runc:[2:INIT]", "sys_pivot_root", "answered"} {
		if got, err := phases(parseTrace(strings.ReplaceAll(traceOfAStart, missing, "else"))); err == nil {
			t.Errorf("got %v of a trace without %q, want an error", got, missing)
		}
	}
}
