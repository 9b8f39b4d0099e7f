package nodestatus

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// Pressure is what the node is short of.
type Pressure struct{ Memory, Disk, PID bool }

// Refuse returns the condition for which a new pod may not run on a node under
// pressure, or "". Pods that the node depends on may always; when only the memory
// is short, so may those that have been promised some. Upstream:
// eviction_manager.go, Admit.
func (p Pressure) Refuse(critical bool, qos corev1.PodQOSClass) corev1.NodeConditionType {
	switch {
	case critical:
	case p.Disk:
		return corev1.NodeDiskPressure
	case p.PID:
		return corev1.NodePIDPressure
	case p.Memory && qos == corev1.PodQOSBestEffort:
		return corev1.NodeMemoryPressure
	}
	return ""
}

// A Signal is one of upstream's eviction signals: something of which there has to
// be a rest.
type Signal string

const (
	MemoryAvailable  Signal = "memory.available"
	NodeFsAvailable  Signal = "nodefs.available"
	NodeFsInodes     Signal = "nodefs.inodesFree"
	ImageFsAvailable Signal = "imagefs.available"
	ImageFsInodes    Signal = "imagefs.inodesFree"
	PIDAvailable     Signal = "pid.available"
)

// DefaultThresholds are upstream's evictionHard.
var DefaultThresholds = map[string]string{
	"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%",
}

// A Threshold is how little may be left: an amount, or a part of what there is.
type Threshold struct {
	Quantity   resource.Quantity
	Percentage float64 // of the capacity; 0: Quantity counts
}

// least is the threshold in numbers, for something of which there is capacity.
func (t Threshold) least(capacity uint64) uint64 {
	if t.Percentage > 0 {
		return uint64(float64(capacity) * t.Percentage / 100)
	}
	return uint64(t.Quantity.Value())
}

// ParseThresholds reads evictionHard of the configuration. A threshold of zero
// switches its signal off.
func ParseThresholds(texts map[string]string) (map[Signal]Threshold, error) {
	out := map[Signal]Threshold{}
	known := []Signal{MemoryAvailable, NodeFsAvailable, NodeFsInodes, ImageFsAvailable, ImageFsInodes, PIDAvailable}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if !slices.Contains(known, Signal(name)) {
			return nil, fmt.Errorf("evictionHard: unknown signal %q, want one of %v", name, known)
		}
		t, err := parseThreshold(texts[name])
		if err != nil {
			return nil, fmt.Errorf("evictionHard: %s: %w", name, err)
		}
		if t.Percentage > 0 || t.Quantity.Sign() > 0 {
			out[Signal(name)] = t
		}
	}
	return out, nil
}

func parseThreshold(text string) (Threshold, error) {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(number, 64)
		if err != nil || p < 0 || p > 100 {
			return Threshold{}, fmt.Errorf("%q is no percentage", text)
		}
		return Threshold{Percentage: p}, nil
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Sign() < 0 {
		return Threshold{}, fmt.Errorf("%q is neither a quantity nor a percentage", text)
	}
	return Threshold{Quantity: q}, nil
}

// Short compares what was measured with the thresholds. What was not measured is
// not short.
func Short(n statsapi.NodeStats, thresholds map[Signal]Threshold) Pressure {
	below := func(s Signal, available, capacity *uint64) bool {
		t, ok := thresholds[s]
		if !ok || available == nil || capacity == nil && t.Percentage > 0 {
			return false
		}
		if capacity == nil {
			capacity = available
		}
		return *available < t.least(*capacity)
	}
	var p Pressure
	if m := n.Memory; m != nil && m.AvailableBytes != nil && m.WorkingSetBytes != nil {
		capacity := *m.AvailableBytes + *m.WorkingSetBytes
		p.Memory = below(MemoryAvailable, m.AvailableBytes, &capacity)
	}
	if fs := n.Fs; fs != nil {
		p.Disk = below(NodeFsAvailable, fs.AvailableBytes, fs.CapacityBytes) || below(NodeFsInodes, fs.InodesFree, fs.Inodes)
	}
	if n.Runtime != nil && n.Runtime.ImageFs != nil {
		fs := n.Runtime.ImageFs
		p.Disk = p.Disk || below(ImageFsAvailable, fs.AvailableBytes, fs.CapacityBytes) || below(ImageFsInodes, fs.InodesFree, fs.Inodes)
	}
	if r := n.Rlimit; r != nil && r.MaxPID != nil && r.NumOfRunningProcesses != nil {
		capacity := uint64(*r.MaxPID)
		left := capacity - min(capacity, uint64(*r.NumOfRunningProcesses))
		p.PID = below(PIDAvailable, &left, &capacity)
	}
	return p
}

// A Damper makes a shortage last for a while after it was seen last, so that a node
// at the limit does not change its mind with every pod that comes and goes.
// Upstream: evictionPressureTransitionPeriod. The zero Damper damps nothing.
type Damper struct {
	Period            time.Duration
	memory, disk, pid time.Time // when it was short last
}

// Observe takes what is short now and returns what the node should say.
func (d *Damper) Observe(now time.Time, p Pressure) Pressure {
	one := func(short bool, last *time.Time) bool {
		if short {
			*last = now
		}
		return short || !last.IsZero() && now.Sub(*last) < d.Period
	}
	return Pressure{Memory: one(p.Memory, &d.memory), Disk: one(p.Disk, &d.disk), PID: one(p.PID, &d.pid)}
}
