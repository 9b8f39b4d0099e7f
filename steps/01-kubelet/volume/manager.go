package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

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
//	pods/UID/volumes/PLUGIN/NAME              a volume
//	pods/UID/volume-subpaths/NAME/CONTAINER/N the subPath of a container's Nth volumeMount
//
// Calls for different pods may run concurrently; calls for one pod may not.
type Manager struct{ conf Config }

// NewManager returns a manager of the volumes below conf.RootDir.
func NewManager(conf Config) *Manager {
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	return &Manager{conf}
}

// A Mounted volume is ready for containers.
type Mounted struct {
	Path     string // on the node
	Plugin   string // name of the plugin that made it
	ReadOnly bool   // containers must not write, whatever their volumeMount says
}

// Mount sets up the volumes of a pod that its containers mount, and returns
// them by name. Call it at every sync: what is there is kept, generated content
// is brought up to date. An error names the volume; the volumes before it stay,
// for the next try.
func (m *Manager) Mount(ctx context.Context, pod *corev1.Pod) (map[string]Mounted, error) {
	mounted := map[string]Mounted{}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if !mentioned(pod, v.Name) {
			continue
		}
		one, err := m.mount(ctx, pod, v)
		if err != nil {
			return nil, fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", v.Name, err) // upstream's words, which people search for
		}
		mounted[v.Name] = one
	}
	return mounted, nil
}

func (m *Manager) mount(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (Mounted, error) {
	if err := ctx.Err(); err != nil {
		return Mounted{}, err
	}
	p := m.plugin(v)
	if p == nil {
		return Mounted{}, errors.New("no plugin of this node supports this kind of volume")
	}
	dir := m.dir(pod.UID, p, v.Name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return Mounted{}, err
	}
	path, err := p.SetUp(ctx, pod, v, dir)
	if err != nil {
		return Mounted{}, err
	}
	ro, _ := p.(ReadOnly)
	return Mounted{Path: path, Plugin: p.Name(), ReadOnly: ro != nil && ro.ReadOnly()}, nil
}

func (m *Manager) plugin(v *corev1.Volume) Plugin {
	i := slices.IndexFunc(m.conf.Plugins, func(p Plugin) bool { return p.Supports(v) })
	if i < 0 {
		return nil
	}
	return m.conf.Plugins[i]
}

func (m *Manager) podDir(uid types.UID) string {
	return filepath.Join(m.conf.RootDir, "pods", string(uid))
}

func (m *Manager) dir(uid types.UID, p Plugin, name string) string {
	return filepath.Join(m.podDir(uid), volumesDir, p.Name(), name)
}

const (
	volumesDir  = "volumes"
	subPathsDir = "volume-subpaths"
)

// mentioned says whether a container mounts the volume. As upstream does, a
// volume that none mounts is not set up.
func mentioned(pod *corev1.Pod, name string) bool {
	is := func(vm corev1.VolumeMount) bool { return vm.Name == name }
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if slices.ContainsFunc(list[i].VolumeMounts, is) {
				return true
			}
		}
	}
	return slices.ContainsFunc(pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool {
		return slices.ContainsFunc(c.VolumeMounts, is)
	})
}

// Unmount takes away all volumes of a pod, with their data. It needs nothing
// but the disk, and succeeds when nothing is left to do. No container of the
// pod may be running. The pod's directory itself stays: its owner removes it.
func (m *Manager) Unmount(ctx context.Context, uid types.UID) error {
	if err := m.unmount(ctx, uid); err != nil {
		return fmt.Errorf("remove the volumes of pod %s: %w", uid, err)
	}
	return nil
}

func (m *Manager) unmount(ctx context.Context, uid types.UID) error {
	if err := Remove(filepath.Join(m.podDir(uid), subPathsDir)); err != nil {
		return err
	}
	volumes := filepath.Join(m.podDir(uid), volumesDir)
	plugins, err := readDir(volumes)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range plugins {
		errs = append(errs, m.unmountKind(ctx, name, filepath.Join(volumes, name)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return Remove(volumes)
}

func (m *Manager) unmountKind(ctx context.Context, plugin, dir string) error {
	i := slices.IndexFunc(m.conf.Plugins, func(p Plugin) bool { return p.Name() == plugin })
	if i < 0 {
		return fmt.Errorf("%s: this kubelet has no such plugin to take it down", dir)
	}
	names, err := readDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := m.conf.Plugins[i].TearDown(ctx, filepath.Join(dir, name)); err != nil {
			errs = append(errs, fmt.Errorf("volume %q: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// RemoveOrphans unmounts the volumes of every pod on disk that keep does not
// know: those that a crashed kubelet left.
func (m *Manager) RemoveOrphans(ctx context.Context, keep func(types.UID) bool) error {
	uids, err := readDir(filepath.Join(m.conf.RootDir, "pods"))
	if err != nil {
		return err
	}
	var errs []error
	for _, uid := range uids {
		if keep(types.UID(uid)) {
			continue
		}
		m.conf.Log.Info("removing the volumes of a pod that is gone", "pod", uid)
		errs = append(errs, m.Unmount(ctx, types.UID(uid)))
	}
	return errors.Join(errs...)
}

// readDir returns the names in a directory; none when there is no such directory.
func readDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
