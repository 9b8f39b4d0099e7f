package cri

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// A stage is how far the life of a sandbox has come.
type stage string

const (
	creating stage = "creating" // RunPodSandbox has not returned
	ready    stage = "ready"
	failed   stage = "failed" // it could not be made, nor what there is of it removed
	stopped  stage = "stopped"
)

// A sandbox is what sandbox.json holds.
type sandbox struct {
	ID        string                       `json:"id"`
	Stage     stage                        `json:"stage"`
	Handler   string                       `json:"handler,omitempty"`
	CreatedAt time.Time                    `json:"createdAt"`
	Config    *runtimeapi.PodSandboxConfig `json:"config"`
	IPs       []netip.Addr                 `json:"ips,omitempty"`
	Cgroup    string                       `json:"cgroup"`              // the pod's; its containers' are below
	OwnCgroup bool                         `json:"ownCgroup,omitempty"` // made by us, so removed by us
}

// A container is what container.json holds.
type container struct {
	ID        string                              `json:"id"`
	Sandbox   string                              `json:"sandbox"`
	CreatedAt time.Time                           `json:"createdAt"`
	Config    *runtimeapi.ContainerConfig         `json:"config"`
	ImageID   string                              `json:"imageID"`
	ImageRef  string                              `json:"imageRef"`
	ImageTag  string                              `json:"imageTag,omitempty"` // one of its names, when it was made
	LogPath   string                              `json:"logPath,omitempty"`  // absolute
	Cgroup    string                              `json:"cgroup"`
	Signal    string                              `json:"signal"` // what asks it to stop
	User      *runtimeapi.LinuxContainerUser      `json:"user"`
	Resources *runtimeapi.LinuxContainerResources `json:"resources,omitempty"` // as last updated
}

// records reads what is on disk.
type records struct {
	sandboxes  state.Cache[sandbox]
	containers state.Cache[container]
	started    state.Cache[state.Started]
	exits      state.Cache[state.Exit]
	pauses     state.Cache[state.Process]

	mu      sync.Mutex // guards parents
	parents map[string]string
}

// The files of a sandbox and of a container.

func (s *Service) sandboxFile(id string) string { return filepath.Join(s.dirs.Pod(id), "sandbox.json") }

func (s *Service) containerFile(c *container, name string) string {
	return filepath.Join(s.dirs.Container(c.Sandbox, c.ID), name)
}

// sandbox finds a sandbox by its id or a prefix of it that fits no other.
func (s *Service) sandbox(id string) (*sandbox, error) {
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "the sandbox id is empty")
	}
	found, err := match(filepath.Join(s.dirs.Root, "pods"), id)
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", id, err)
	}
	return s.records.sandboxes.Read(s.sandboxFile(filepath.Base(found)))
}

// allSandboxes returns those whose creation has begun, the oldest first.
func (s *Service) allSandboxes() (all []*sandbox, err error) {
	ids, err := names(filepath.Join(s.dirs.Root, "pods"))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		sb, err := s.records.sandboxes.Read(s.sandboxFile(id))
		if err == nil {
			all = append(all, sb)
		}
	}
	return all, nil
}

// container finds a container by its id or a prefix of it that fits no other.
func (s *Service) container(id string) (*container, error) {
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "the container id is empty")
	}
	s.records.mu.Lock()
	parent, known := s.records.parents[id]
	s.records.mu.Unlock()
	if !known {
		pods, err := names(filepath.Join(s.dirs.Root, "pods"))
		if err != nil {
			return nil, err
		}
		for _, pod := range pods {
			found, err := match(filepath.Join(s.dirs.Pod(pod), "containers"), id)
			if errors.Is(err, state.ErrNotFound) {
				continue
			}
			if err != nil || known {
				return nil, fmt.Errorf("container %s: %w", id, cmpErr(err))
			}
			parent, id, known = pod, filepath.Base(found), true
		}
	}
	if !known {
		return nil, fmt.Errorf("container %s: %w", id, state.ErrNotFound)
	}
	return s.readContainer(parent, id)
}

func (s *Service) readContainer(pod, id string) (*container, error) {
	c, err := s.records.containers.Read(filepath.Join(s.dirs.Container(pod, id), "container.json"))
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	if err != nil {
		delete(s.records.parents, id)
		return nil, fmt.Errorf("container %s: %w", id, err)
	}
	if s.records.parents == nil {
		s.records.parents = map[string]string{}
	}
	s.records.parents[id] = pod
	return c, nil
}

func (s *Service) containersOf(pod string) (all []*container, err error) {
	ids, err := names(filepath.Join(s.dirs.Pod(pod), "containers"))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if c, err := s.readContainer(pod, id); err == nil {
			all = append(all, c)
		}
	}
	return all, nil
}

func (s *Service) allContainers() (all []*container, err error) {
	pods, err := names(filepath.Join(s.dirs.Root, "pods"))
	if err != nil {
		return nil, err
	}
	for _, pod := range pods {
		some, err := s.containersOf(pod)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// pause returns the pause process of a sandbox, if it runs.
func (s *Service) pause(sandbox string) (state.Process, bool) {
	p, err := s.records.pauses.Read(filepath.Join(s.dirs.RunPod(sandbox), "pause.json"))
	if err != nil || !p.Alive() {
		return state.Process{}, false
	}
	return *p, true
}

func (s *Service) isReady(sb *sandbox) bool {
	_, alive := s.pause(sb.ID)
	return sb.Stage == ready && alive
}

// exit returns how a container ended, or nil.
func (s *Service) exit(c *container) *state.Exit {
	e, err := s.records.exits.Read(s.containerFile(c, "exit.json"))
	if err != nil {
		return nil
	}
	return e
}

// startedAs returns the process of a container, or nil if it was never started.
func (s *Service) startedAs(c *container) *state.Started {
	p, err := s.records.started.Read(s.containerFile(c, "started.json"))
	if err != nil {
		return nil
	}
	return p
}

func (s *Service) stateOf(c *container) runtimeapi.ContainerState {
	switch {
	case s.exit(c) != nil:
		return runtimeapi.ContainerState_CONTAINER_EXITED
	case s.startedAs(c) != nil:
		return runtimeapi.ContainerState_CONTAINER_RUNNING
	}
	return runtimeapi.ContainerState_CONTAINER_CREATED
}

// lock is what changes to a pod are made under, by whatever process.
func (s *Service) lock(id string) (unlock func(), err error) {
	return state.Lock(s.lockFile(id))
}

func (s *Service) lockFile(id string) string { return filepath.Join(s.dirs.State, "locks", id) }

// names lists a directory, of which there may be none.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

var errAmbiguous = errors.New("the prefix fits several")

// match finds the one entry of a directory that is, or begins with, id.
func match(dir, id string) (string, error) {
	if strings.ContainsAny(id, "/*?[.") {
		return "", fmt.Errorf("%w: %q is not an id", state.ErrNotFound, id)
	}
	if path := filepath.Join(dir, id); exists(path) {
		return path, nil
	}
	found, err := filepath.Glob(filepath.Join(dir, id+"*"))
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", state.ErrNotFound
	case len(found) > 1:
		return "", errAmbiguous
	}
	return found[0], nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func cmpErr(err error) error {
	if err == nil {
		return errAmbiguous
	}
	return err
}

// toStatus gives an error the gRPC code that its kind has.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	code := codes.Unknown
	for kind, c := range map[error]codes.Code{
		state.ErrNotFound:        codes.NotFound,
		image.ErrNotFound:        codes.NotFound,
		errAmbiguous:             codes.InvalidArgument,
		errInvalid:               codes.InvalidArgument,
		errExists:                codes.AlreadyExists,
		shim.ErrGone:             codes.Unavailable,
		context.Canceled:         codes.Canceled,
		context.DeadlineExceeded: codes.DeadlineExceeded,
	} {
		if errors.Is(err, kind) {
			code = c
		}
	}
	return status.Error(code, err.Error())
}

var errInvalid = errors.New("invalid request")
