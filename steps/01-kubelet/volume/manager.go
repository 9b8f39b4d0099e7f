package volume

import (
	"context"
	"errors"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A Config says where a Manager works and with what.
type Config struct {
	RootDir string   // /var/lib/kubelet
	Plugins []Plugin // the first one that supports a volume has it
	Log     *slog.Logger
}

// A Manager brings the volumes of pods to the node and takes them away again.
// What it has done is on disk and in the mount table, nowhere else: a new
// Manager, after a crash, can undo the work of the old one.
//
// Calls for different pods may run concurrently; calls for one pod may not.
type Manager struct{ conf Config }

// NewManager returns a manager of the volumes below conf.RootDir.
func NewManager(conf Config) *Manager { return &Manager{conf} }

// A Mounted volume is ready for containers.
type Mounted struct {
	Path   string // on the node
	Plugin string // name of the plugin that made it
}

// Mount sets up all volumes of a pod and returns them by name. Call it at
// every sync: what is there is kept, generated content is brought up to date.
// An error names the volume; the volumes before it stay, for the next try.
func (m *Manager) Mount(ctx context.Context, pod *corev1.Pod) (map[string]Mounted, error) {
	return nil, errors.New("not written yet")
}

// SubPaths returns the function that makes the subPaths of one container (init,
// ephemeral or not), as criconfig.Input.SubPath wants it. Each is a bind mount
// in pods/UID/volume-subpaths, so that nothing which a container does to the
// volume later can lead the runtime elsewhere.
func (m *Manager) SubPaths(pod *corev1.Pod, container string, mounted map[string]Mounted) func(index int, volumeName, subPath string) (string, error) {
	return nil
}

// Unmount takes away all volumes of a pod, with their data. It needs nothing
// but the disk, and succeeds when nothing is left to do. No container of the
// pod may be running. The pod's directory itself stays: its owner removes it.
func (m *Manager) Unmount(ctx context.Context, uid types.UID) error {
	return errors.New("not written yet")
}

// RemoveOrphans unmounts the volumes of every pod on disk that keep does not
// know: those that a crashed kubelet left.
func (m *Manager) RemoveOrphans(ctx context.Context, keep func(types.UID) bool) error {
	return errors.New("not written yet")
}

// A Usage is the space that one volume takes.
type Usage struct {
	Name   string
	Used   int64 // bytes
	Inodes int64
	Limit  int64 // bytes; 0 for none
	// Of the file system it is on.
	Capacity, Available     int64 // bytes
	InodesTotal, InodesFree int64
}

// Usage measures the pod's volumes that have content of their own.
func (m *Manager) Usage(ctx context.Context, pod *corev1.Pod) ([]Usage, error) {
	return nil, errors.New("not written yet")
}

// OverLimit returns the message with which upstream evicts a pod for the first
// of its volumes that is larger than its limit, or "".
func OverLimit(usage []Usage) string { return "" }
