// Package xray follows one pod down to Linux: its processes, namespaces, cgroup,
// root file systems and network interface. It asks no component of Kubernetes:
// a pod's uid stands in the name of its cgroup, and from there the kernel tells
// the rest.
package xray

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A Fact is one thing about a pod with the command that proves it in the node's
// shell.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Proof string `json:"proof"`
	PID   int    `json:"pid,omitempty"`   // of the process that it is about, as the node counts
	Facts []Fact `json:"facts,omitempty"` // what belongs to it
}

// A process of the pod, in all the PID namespaces it is seen from.
type process struct {
	host, node, pod int
	comm            string
}

// kinds are the namespaces in the order that they are shown.
var kinds = []string{"net", "ipc", "uts", "pid", "mnt", "user", "cgroup"}

// Pod looks at a pod on the node whose init is the process nodeInit.
func Pod(nodeInit int, pod corev1.Pod) ([]Fact, error) {
	root := filepath.Join("/proc", strconv.Itoa(nodeInit), "root")
	groups, err := findCgroups(filepath.Join(root, "sys/fs/cgroup"), string(pod.UID))
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf("no cgroup of this node has %s in its name: the pod has no process here", pod.UID)
	}
	facts := []Fact{cgroupFact(root, groups)}
	leaves, err := leaves(groups)
	if err != nil {
		return nil, err
	}
	depth, err := depth(nodeInit)
	if err != nil {
		return nil, err
	}
	containers := containerNames(pod)
	var first *process
	var rows []Fact
	for _, leaf := range leaves {
		procs, err := processes(leaf, depth)
		if err != nil {
			return nil, err
		}
		if len(procs) == 0 {
			continue
		}
		name, known := containers[filepath.Base(leaf)]
		if !known {
			name = "sandbox"
			first = &procs[0]
		}
		rows = append(rows, containerFact(name, procs))
	}
	// The sandbox first: the others join its namespaces.
	slices.SortStableFunc(rows, func(a, b Fact) int { return boolInt(a.Name != "sandbox") - boolInt(b.Name != "sandbox") })
	facts = append(facts, rows...)
	if first != nil {
		network, err := networkFact(nodeInit, first.host, first.node)
		if err != nil {
			return nil, err
		}
		facts = append(facts, network)
	}
	return facts, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// containerNames maps container ids to names as the pod's status has them.
func containerNames(pod corev1.Pod) map[string]string {
	names := map[string]string{}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for _, s := range list {
			_, id, _ := strings.Cut(s.ContainerID, "://")
			names[id] = "container " + s.Name
		}
	}
	return names
}

// findCgroups returns the directories whose name holds the uid, one for each
// hierarchy. The systemd driver writes a uid with underscores.
func findCgroups(dir, uid string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a cgroup that ended as we looked
		}
		if err != nil || !d.IsDir() {
			return err
		}
		if name := strings.ReplaceAll(d.Name(), "_", "-"); strings.Contains(name, uid) {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	return found, err
}

// leaves are the cgroups below the pod's, by name, each once: in v1 a container
// has one in every hierarchy.
func leaves(groups []string) ([]string, error) {
	byName := map[string]string{}
	for _, g := range groups {
		entries, err := os.ReadDir(g)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() && byName[e.Name()] == "" {
				byName[e.Name()] = filepath.Join(g, e.Name())
			}
		}
	}
	var all []string
	for _, path := range byName {
		all = append(all, path)
	}
	slices.Sort(all)
	return all, nil
}

// depth is how many PID namespaces the node's own is below ours: one for a box,
// none when the node is this machine.
func depth(nodeInit int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", nodeInit))
	if err != nil {
		return 0, err
	}
	_, ids := parseStatus(string(status))
	return len(ids) - 1, nil
}

func processes(cgroup string, depth int) ([]process, error) {
	b, err := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var all []process
	for field := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		// The file speaks of the PID namespace that it was mounted for; status
		// has the process's ids in every namespace from ours inwards.
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		comm, ids := parseStatus(string(status))
		if len(ids) <= depth {
			return nil, fmt.Errorf("process %d is not of this node", pid)
		}
		all = append(all, process{host: ids[0], node: ids[depth], pod: ids[len(ids)-1], comm: comm})
	}
	return all, nil
}

// parseStatus reads of a proc_pid_status(5) the name, and the process's id in every
// PID namespace from ours inwards.
func parseStatus(status string) (comm string, ids []int) {
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Name":
			comm = strings.TrimSpace(value)
		case "NSpid":
			for f := range strings.FieldsSeq(value) {
				id, _ := strconv.Atoi(f)
				ids = append(ids, id)
			}
		}
	}
	return comm, ids
}

// limits are the cgroup files worth showing, of v1 and of v2.
var limits = []string{"cpu.shares", "cpu.cfs_quota_us", "memory.limit_in_bytes", "memory.usage_in_bytes", "pids.current", "cpu.weight", "cpu.max", "memory.max", "memory.current"}

func cgroupFact(root string, groups []string) Fact {
	f := Fact{Name: "cgroup", Value: withoutHierarchy(strings.TrimPrefix(groups[0], root)), Proof: "ls -d " + strings.TrimPrefix(groups[0], root)}
	for _, file := range limits {
		for _, g := range groups {
			b, err := os.ReadFile(filepath.Join(g, file))
			if err == nil {
				f.Facts = append(f.Facts, Fact{Name: file, Value: strings.TrimSpace(string(b)), Proof: "cat " + strings.TrimPrefix(filepath.Join(g, file), root)})
				break
			}
		}
	}
	return f
}

// withoutHierarchy turns /sys/fs/cgroup/memory/kubepods/… into /kubepods/…
func withoutHierarchy(path string) string {
	if i := strings.Index(path, "/kubepods"); i >= 0 {
		return path[i:]
	}
	return path
}

func containerFact(name string, procs []process) Fact {
	p := procs[0]
	f := Fact{
		Name:  name,
		PID:   p.node,
		Value: fmt.Sprintf("process %d (%s), in its own view %d", p.node, p.comm, p.pod),
		Proof: fmt.Sprintf("grep -E 'Name|NSpid' /proc/%d/status", p.node),
	}
	for _, kind := range kinds {
		if id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", p.host, kind)); err == nil {
			f.Facts = append(f.Facts, Fact{Name: kind, Value: id, Proof: fmt.Sprintf("readlink /proc/%d/ns/%s", p.node, kind)})
		}
	}
	if lower, ok := overlay(p.host); ok {
		f.Facts = append(f.Facts,
			Fact{Name: "root", Value: fmt.Sprintf("overlay: %d read-only layer(s), and its own directory above", len(lower)), Proof: fmt.Sprintf("grep ' / / ' /proc/%d/mountinfo", p.node)})
	}
	return f
}

// overlay reads the layers of the process's root file system.
func overlay(pid int) (lower []string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, false
	}
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || left[4] != "/" || len(right) < 3 || right[0] != "overlay" {
			continue
		}
		for option := range strings.SplitSeq(right[2], ",") {
			if dirs, found := strings.CutPrefix(option, "lowerdir="); found {
				lower = strings.Split(dirs, ":")
			}
			if dir, found := strings.CutPrefix(option, "lowerdir+="); found {
				lower = append(lower, dir)
			}
		}
		return lower, true
	}
	return nil, false
}
