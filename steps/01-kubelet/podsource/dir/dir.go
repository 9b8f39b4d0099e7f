// Package dir is the pod source that reads a directory of manifests:
// /etc/kubernetes/manifests, where static pods are.
//
// A pod runs as long as a file describes it. The directory is watched, and read
// again from time to time as well, because a watch may lose events and some file
// systems have none. A file that can't be understood is reported, once for each
// content, and what it described before goes on: a slip of an editor must not
// take down a control plane.
//
// Upstream: pkg/kubelet/config/file.go and file_linux.go.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// A Source reads one directory. Its fields are set before Run.
type Source struct {
	Dir      string
	NodeName string        // completes the pods' names
	Rescan   time.Duration // between two readings without an event; 0 means 20 s
	Log      *slog.Logger

	files  map[string]file   // by name: what is believed of them
	owners map[string]string // by namespace/name of a pod: the name of the file that it is taken from
}

var _ podsource.Source = (*Source)(nil)

// A file is what the newest readable version of a manifest said.
type file struct {
	pods    []*corev1.Pod
	content string // that was read last
	judged  bool   // with that content
	problem string // with that content, or ""
}

// settle is how long the directory has to be quiet before it is read: a file
// that is being written is mostly read whole then.
const settle = 20 * time.Millisecond

// Name implements [podsource.Source].
func (s *Source) Name() string { return "file" }

// Run implements [podsource.Source]. The directory need not exist yet.
func (s *Source) Run(ctx context.Context, update func([]*corev1.Pod)) error {
	s.files = map[string]file{}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.Dir, err)
	}
	defer events.Close()
	rescan := s.Rescan
	if rescan == 0 {
		rescan = 20 * time.Second
	}
	for timer := time.NewTimer(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			watching := slices.Contains(events.WatchList(), s.Dir)
			if !watching {
				watching = events.Add(s.Dir) == nil
			}
			if changed := s.read(); changed {
				update(s.pods())
			}
			if watching {
				timer.Reset(rescan)
			} else {
				timer.Reset(min(rescan, time.Second)) // until the directory is there
			}
		case e := <-events.Events:
			if !hidden(e.Name) {
				timer.Reset(settle)
			}
		case err := <-events.Errors:
			s.Log.Warn("watch manifests", "dir", s.Dir, "err", err)
			timer.Reset(settle)
		}
	}
}

// read reads the directory and reports whether the pods are others than before.
// The first time they always are: even an empty set is news then.
func (s *Source) read() (changed bool) {
	first := len(s.files) == 0 && s.files != nil
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Log.Error("read manifests", "dir", s.Dir, "err", err)
		return first
	}
	now := map[string]file{}
	for _, e := range entries {
		if e.IsDir() || hidden(e.Name()) {
			continue
		}
		old, known := s.files[e.Name()]
		f := s.readFile(e.Name(), old, known)
		now[e.Name()] = f
		changed = changed || !known || !same(old.pods, f.pods)
	}
	changed = changed || first || len(now) < len(s.files)
	for name := range s.files {
		if _, ok := now[name]; !ok {
			changed = true
		}
	}
	s.files = now
	return changed
}

// readFile reads one manifest. When that fails it keeps what old said. A file
// that appears empty is about to be written; when it still is the next time, it
// is judged as any other.
func (s *Source) readFile(name string, old file, known bool) file {
	path := filepath.Join(s.Dir, name)
	data, err := readRegular(path)
	if err == nil && string(data) == old.content && (old.judged || !known) {
		return old
	}
	var pods []*corev1.Pod
	if err == nil {
		pods, err = s.parse(path, data)
	}
	if err == nil {
		return file{pods: pods, content: string(data), judged: true}
	}
	if problem := err.Error(); problem != old.problem {
		for _, line := range strings.Split(problem, "\n") {
			s.Log.Error("manifest", "file", path, "err", line, "pods kept", len(old.pods))
		}
	}
	return file{pods: old.pods, content: string(data), judged: true, problem: err.Error()}
}

// maxSize is upstream's bound on a manifest; a pod is a few kilobytes.
const maxSize = 10 << 20

// readRegular reads a file without waiting for anybody: a named pipe, say, has
// content only when somebody writes it, and all other manifests would wait along.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: move it out of the directory of manifests", path)
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d of a manifest: move it out of the directory", path, info.Size(), maxSize)
	}
	return io.ReadAll(io.LimitReader(f, maxSize))
}

func (s *Source) parse(path string, data []byte) ([]*corev1.Pod, error) {
	decoded, err := manifest.Decode(path, data)
	if err != nil {
		return nil, err
	}
	if len(decoded) == 0 {
		return nil, &manifest.Error{File: path, Line: 1, Message: "no pod in it; a file that is empty on purpose should be removed"}
	}
	var pods []*corev1.Pod
	var errs []error
	for _, d := range decoded {
		pod := staticPod(d.Pod, s.NodeName, path)
		if err := errors.Join(d.Errors(manifest.Validate(pod)), d.Errors(manifest.ValidateStatic(pod))); err != nil {
			errs = append(errs, err)
			continue
		}
		pods = append(pods, pod)
	}
	return pods, errors.Join(errs...)
}

// pods returns all pods, sorted by file. Of two with the same name only one is
// taken: the one that is taken already, so that a copy of a manifest does not
// stop the pod that it was copied from, or else the first.
func (s *Source) pods() []*corev1.Pod {
	all, owners := []*corev1.Pod{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		for _, pod := range s.files[name].pods {
			key := pod.Namespace + "/" + pod.Name
			if before, ok := s.owners[key]; ok && owners[key] == "" && s.files[before].describes(key) {
				owners[key] = before
			}
			if owner := owners[key]; owner != "" && (owner != name || slices.ContainsFunc(all, named(key))) {
				s.Log.Error("manifest", "file", filepath.Join(s.Dir, name), "err", "pod "+key+" is in "+filepath.Join(s.Dir, owner)+" already", "pod", key)
				continue
			}
			owners[key] = name
			all = append(all, pod.DeepCopy())
		}
	}
	s.owners = owners
	return all
}

// describes says whether a pod of this name is in the file.
func (f file) describes(key string) bool { return slices.ContainsFunc(f.pods, named(key)) }

func named(key string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool { return p.Namespace+"/"+p.Name == key }
}

// hidden: editors keep their half-written files under such names.
func hidden(path string) bool { return strings.HasPrefix(filepath.Base(path), ".") }

func same(a, b []*corev1.Pod) bool {
	return slices.EqualFunc(a, b, func(x, y *corev1.Pod) bool { return x.UID == y.UID })
}
