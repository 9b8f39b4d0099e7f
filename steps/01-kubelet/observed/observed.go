// Package observed reads from the container runtime what there is of a pod.
//
// A kubelet compares what should be (the pod's spec) with what is, and "what
// is" lives nowhere but in the runtime: sandboxes and containers, found by the
// labels and annotations they were made with. Nothing here is remembered between
// two calls, which is why a kubelet can be killed at any moment and, started
// again, finds its pods by reading them.
package observed

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// A Pod is what the runtime holds of one pod, dead parts included.
type Pod struct {
	UID       types.UID
	Namespace string
	Name      string

	Sandboxes  []Sandbox   // newest first
	Containers []Container // newest first, of all sandboxes
}

// A Sandbox is one pod sandbox: the namespaces and the cgroup that the pod's
// containers share.
type Sandbox struct {
	ID          string
	Attempt     uint32
	Ready       bool
	CreatedAt   time.Time
	IPs         []string // primary first; empty on the host's network
	Annotations map[string]string
}

// A State is where a container is in its life.
type State string

const (
	Created State = "created" // made, and its process never started
	Running State = "running"
	Exited  State = "exited"
	Unknown State = "unknown" // the runtime can't tell whether a process is left
)

// A Container is one attempt at running a container of the pod.
type Container struct {
	ID        string
	Name      string // in the pod's spec
	SandboxID string
	Attempt   uint32 // how often the container was restarted before
	State     State
	Image     string // as the spec names it
	ImageRef  string // what was run: digest or id
	LogPath   string

	CreatedAt  time.Time
	StartedAt  time.Time
	FinishedAt time.Time
	ExitCode   int32
	Reason     string // Completed, Error, OOMKilled, as the runtime says
	Message    string // the runtime's, or the termination message
	User       *corev1.ContainerUser

	// Resources are what its cgroup was set to last, nil if the runtime does not tell.
	Resources *runtimeapi.LinuxContainerResources

	// Info is what the container's labels and annotations tell of its spec.
	Info criconfig.Info
}

// Sandbox returns the newest sandbox, or nil.
func (p *Pod) Sandbox() *Sandbox {
	if len(p.Sandboxes) == 0 {
		return nil
	}
	return &p.Sandboxes[0]
}

// Container returns the newest container of that name, or nil.
func (p *Pod) Container(name string) *Container {
	for i := range p.Containers {
		if p.Containers[i].Name == name {
			return &p.Containers[i]
		}
	}
	return nil
}

// Active returns the newest container of that name in the newest sandbox, or
// nil. What an earlier sandbox left behind says nothing about this one: its
// init containers have to run again.
func (p *Pod) Active(name string) *Container {
	c := p.Container(name)
	if c == nil || c.SandboxID != p.SandboxID() {
		return nil
	}
	return c
}

// SandboxID returns the ID of the newest sandbox, or "".
func (p *Pod) SandboxID() string {
	if s := p.Sandbox(); s != nil {
		return s.ID
	}
	return ""
}

// Alive reports whether a process of the pod may be left: a ready sandbox, or a
// container that is not known to have stopped.
func (p *Pod) Alive() bool {
	for _, s := range p.Sandboxes {
		if s.Ready {
			return true
		}
	}
	for _, c := range p.Containers {
		if c.State == Running || c.State == Unknown {
			return true
		}
	}
	return false
}

// Summary is a line that changes whenever a sandbox or container of the pod
// appears, changes its state or disappears.
func (p *Pod) Summary() string {
	var b strings.Builder
	for _, s := range p.Sandboxes {
		fmt.Fprint(&b, s.ID, s.Ready, ";")
	}
	for _, c := range p.Containers {
		fmt.Fprint(&b, c.ID, c.State, ";")
	}
	return b.String()
}
