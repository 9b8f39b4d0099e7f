// Package cgroup makes the cgroups that pods live in.
//
// The kernel shares CPU and limits memory by a tree of control groups. The
// kubelet builds the upper part of it, by quality of service, and the runtime
// puts its containers under the pods:
//
//	kubepods                          all pods; what the node can allocate
//	├── podUID                        guaranteed pods
//	├── burstable                     CPU weight: what its pods request, summed
//	│   └── podUID                    weight, quota and memory of one pod
//	└── besteffort                    the least weight there is
//	    └── podUID
//
// So best-effort pods together get what the others leave, and a container that
// grows takes from its own pod first. Both versions of the kernel's interface
// are served: in v1 each resource has a tree of its own, in v2 there is one.
//
// Upstream: pkg/kubelet/cm (pod_container_manager_linux.go,
// qos_container_manager_linux.go, helpers_linux.go).
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// A Config says where the tree is and what it allows.
type Config struct {
	Root        string              // cgroup above kubepods; "" or "/" is that of the node
	Allocatable corev1.ResourceList // what all pods may use together
	CPUQuota    bool                // whether CPU limits become a quota
	QuotaPeriod int64               // microseconds; 0 means 100000
	PodPids     int64               // processes in one pod; 0 or less means no limit
}

// A Manager keeps the tree. Its methods may be called concurrently.
type Manager struct {
	conf Config

	mu   sync.Mutex           // guards pods, and changes of the tree
	pods map[types.UID]*entry // that were applied
}

type entry struct {
	path    string
	applied Resources
	class   corev1.PodQOSClass
}

// The parents of pods, by class.
var parents = map[corev1.PodQOSClass]string{
	corev1.PodQOSGuaranteed: "kubepods",
	corev1.PodQOSBurstable:  "kubepods/burstable",
	corev1.PodQOSBestEffort: "kubepods/besteffort",
}

// New returns a Manager and makes the upper part of the tree.
func New(conf Config) (*Manager, error) {
	if conf.QuotaPeriod == 0 {
		conf.QuotaPeriod = 100_000
	}
	m := &Manager{conf: conf, pods: map[types.UID]*entry{}}
	top := Resources{
		Shares: max(minShares, conf.Allocatable.Cpu().MilliValue()*sharesPerCPU/1000),
		Memory: conf.Allocatable.Memory().Value(),
	}
	for _, c := range []struct {
		path      string
		resources Resources
	}{
		{"kubepods", top},
		{"kubepods/burstable", Resources{Shares: minShares}},
		{"kubepods/besteffort", Resources{Shares: minShares}},
	} {
		if err := apply(m.abs(c.path), c.resources); err != nil {
			return nil, fmt.Errorf("make cgroup %s: %w", m.abs(c.path), err)
		}
	}
	return m, nil
}

func (m *Manager) abs(p string) string { return path.Join("/", m.conf.Root, p) }

// Path returns the pod's cgroup below each hierarchy's mount.
func (m *Manager) Path(pod *corev1.Pod) string {
	return m.abs(path.Join(parents[criconfig.QOS(pod)], "pod"+string(pod.UID)))
}

// Apply makes the pod's cgroup, or brings it up to date, and returns its path.
func (m *Manager) Apply(pod *corev1.Pod) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := &entry{path: m.Path(pod), applied: m.conf.podResources(pod), class: criconfig.QOS(pod)}
	if old := m.pods[pod.UID]; old != nil && *old == *e && exists(e.path) {
		return e.path, nil
	}
	if err := apply(e.path, e.applied); err != nil {
		return "", fmt.Errorf("%s: %w", e.path, err)
	}
	m.pods[pod.UID] = e
	return e.path, m.weighBurstable()
}

// Remove removes the pod's cgroup. It succeeds when there is none, and fails as
// long as a process is left in it.
func (m *Manager) Remove(uid types.UID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, parent := range parents {
		if err := remove(m.abs(path.Join(parent, "pod"+string(uid)))); err != nil {
			return err
		}
	}
	delete(m.pods, uid)
	return m.weighBurstable()
}

// RemoveOrphans removes the cgroups of pods that keep does not know: those that
// a crashed kubelet left. One with a process left in it stays, for the next time.
func (m *Manager) RemoveOrphans(keep func(types.UID) bool) error {
	var errs []error
	for _, parent := range parents {
		dirs, err := directories(m.abs(parent))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			entries, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			for _, e := range entries {
				uid, isPod := strings.CutPrefix(e.Name(), "pod")
				if e.IsDir() && isPod && !keep(types.UID(uid)) {
					errs = append(errs, m.Remove(types.UID(uid)))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// weighBurstable gives the burstable pods together what they request.
func (m *Manager) weighBurstable() error {
	sum := int64(0)
	for _, e := range m.pods {
		if e.class == corev1.PodQOSBurstable {
			sum += e.applied.Shares
		}
	}
	return apply(m.abs(parents[corev1.PodQOSBurstable]), Resources{Shares: max(sum, minShares)})
}

// apply makes a cgroup in every hierarchy and sets its resources.
func apply(path string, r Resources) error {
	c := r.config(path)
	cg, err := manager.New(c)
	if err != nil {
		return err
	}
	if err := cg.Apply(-1); err != nil { // -1: no process moves there
		return fmt.Errorf("create: %w", err)
	}
	return cg.Set(c.Resources)
}

func remove(path string) error {
	cg, err := manager.New(Resources{}.config(path))
	if err != nil {
		return err
	}
	return cg.Destroy()
}

// exists reports whether the cgroup is there in any hierarchy.
func exists(path string) bool {
	dirs, err := directories(path)
	return err == nil && slices.ContainsFunc(dirs, func(dir string) bool {
		_, err := os.Stat(dir)
		return err == nil
	})
}

// directories returns where a cgroup is in the file system, in each hierarchy.
func directories(path string) ([]string, error) {
	cg, err := manager.New(Resources{}.config(path))
	if err != nil {
		return nil, err
	}
	seen, dirs := map[string]bool{}, []string{}
	for _, dir := range cg.GetPaths() {
		if dir = filepath.Clean(dir); dir != "" && !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// Version2 reports whether the node has the unified hierarchy alone.
func Version2() bool { return cgroups.IsCgroup2UnifiedMode() }
