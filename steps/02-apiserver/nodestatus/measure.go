package nodestatus

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// SystemInfo reads what identifies the machine and its kernel. What a machine does
// not have is left empty: a container has no machine-id, a virtual machine of some
// kinds no UUID. Root is "/", or a directory of a test.
func SystemInfo(root string, version *runtimeapi.VersionResponse, kubelet string) corev1.NodeSystemInfo {
	read := func(path string) string {
		data, _ := os.ReadFile(filepath.Join(root, path))
		return strings.TrimSpace(string(data))
	}
	info := corev1.NodeSystemInfo{
		MachineID:               read("etc/machine-id"),
		SystemUUID:              strings.ToLower(read("sys/class/dmi/id/product_uuid")),
		BootID:                  read("proc/sys/kernel/random/boot_id"),
		KernelVersion:           read("proc/sys/kernel/osrelease"),
		OSImage:                 osImage(cmp.Or(read("etc/os-release"), read("usr/lib/os-release"))),
		ContainerRuntimeVersion: version.GetRuntimeName() + "://" + version.GetRuntimeVersion(),
		KubeletVersion:          kubelet,
		OperatingSystem:         runtime.GOOS,
		Architecture:            runtime.GOARCH,
	}
	if info.MachineID == "" {
		info.MachineID = info.BootID
	}
	if info.SystemUUID == "" {
		info.SystemUUID = info.MachineID
	}
	return info
}

// osImage is PRETTY_NAME of os-release(5).
func osImage(release string) string {
	for line := range strings.Lines(release) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return "Linux"
}

// Resources returns what the node has, and what of that is for pods: on top of the
// processors and the memory that a kubelet alone counts, its disk and its huge pages.
// Of memory and disk, what a threshold of evictions keeps free is not for pods, and
// memory in huge pages is no other memory. Root is "/", or a directory of a test.
func Resources(node criconfig.Node, root string, thresholds map[Signal]Threshold) (capacity, allocatable corev1.ResourceList, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(node.RootDir, &fs); err != nil {
		return nil, nil, fmt.Errorf("measure the disk of %s: %w", node.RootDir, err)
	}
	capacity, allocatable = node.Capacity.DeepCopy(), node.Allocatable.DeepCopy()
	disk := *resource.NewQuantity(int64(fs.Blocks*uint64(fs.Bsize)), resource.BinarySI)
	capacity[corev1.ResourceEphemeralStorage], allocatable[corev1.ResourceEphemeralStorage] = disk, disk
	for _, kept := range []struct {
		of   corev1.ResourceName
		when Signal
	}{{corev1.ResourceMemory, MemoryAvailable}, {corev1.ResourceEphemeralStorage, NodeFsAvailable}} {
		if t, ok := thresholds[kept.when]; ok {
			less(allocatable, kept.of, int64(t.least(uint64(capacity.Name(kept.of, resource.BinarySI).Value()))))
		}
	}
	sizes, err := filepath.Glob(filepath.Join(root, "sys/kernel/mm/hugepages/hugepages-*kB"))
	if err != nil {
		return nil, nil, err
	}
	for _, pages := range sizes {
		name, total, ok := hugePages(pages)
		if ok {
			capacity[name], allocatable[name] = total, total
			less(allocatable, corev1.ResourceMemory, total.Value())
		}
	}
	return capacity, allocatable, nil
}

// less takes some of a resource away, at most all.
func less(list corev1.ResourceList, name corev1.ResourceName, some int64) {
	q := list[name]
	q.Set(max(0, q.Value()-some))
	list[name] = q
}

// hugePages reads one directory of sysfs, such as hugepages-2048kB.
func hugePages(dir string) (name corev1.ResourceName, total resource.Quantity, ok bool) {
	text := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(dir), "hugepages-"), "kB")
	kilobytes, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", total, false
	}
	data, err := os.ReadFile(filepath.Join(dir, "nr_hugepages"))
	if err != nil {
		return "", total, false
	}
	pages, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return "", total, false
	}
	size := resource.NewQuantity(kilobytes<<10, resource.BinarySI)
	return corev1.ResourceName(corev1.ResourceHugePagesPrefix + size.String()), *resource.NewQuantity(pages*kilobytes<<10, resource.BinarySI), true
}

// A Runtime is the part of the CRI that tells how the runtime is.
type Runtime interface {
	Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error)
}

// Images lists the images on the node.
type Images interface {
	ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error)
}

// Numbers measures the node. *stats.Provider does.
type Numbers interface {
	Node(ctx context.Context) statsapi.NodeStats
}

// unwell returns what the runtime says is wrong with it, in upstream's words.
func unwell(s *runtimeapi.StatusResponse, err error) []string {
	if err != nil {
		return []string{"container runtime status check may not have completed yet: " + err.Error()}
	}
	var why []string
	for _, kind := range []struct{ condition, prefix string }{
		{runtimeapi.RuntimeReady, "container runtime not ready: "}, {runtimeapi.NetworkReady, "container runtime network not ready: "},
	} {
		for _, c := range s.GetStatus().GetConditions() {
			if c.Type == kind.condition && !c.Status {
				why = append(why, fmt.Sprintf("%s%s=false reason:%s message:%s", kind.prefix, c.Type, c.Reason, c.Message))
			}
		}
	}
	return why
}
