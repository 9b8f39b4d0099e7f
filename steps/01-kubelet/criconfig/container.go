package criconfig

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/expand"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// An Input is all that the config of one container depends on.
type Input struct {
	Node      Node
	Pod       *corev1.Pod
	Container *corev1.Container // of the pod; for an ephemeral container, [Ephemeral] of it
	Attempt   uint32            // the container's restart count
	Image     *runtimeapi.Image // as ImageStatus returns it: id, uid or user name
	PodIPs    []string          // as the sandbox's status tells them, the primary one first

	// Volumes is what [volume.Manager.Mount] returned, by volume name.
	Volumes map[string]volume.Mounted

	// SubPath returns the host path of a subPath in a volume. It is
	// [volume.Manager.SubPaths], and the only part of making a config that
	// may touch the machine. Index counts the container's volumeMounts.
	SubPath func(index int, volumeName, subPath string) (string, error)

	HostsFile      string // host path of the managed /etc/hosts; empty for none
	TerminationLog string // host path of an empty file; empty for none
	TargetID       string // id of the container whose processes an ephemeral container sees

	// BaseEnv comes before the container's own variables, which may use and
	// replace it. A later step puts the variables of services here.
	BaseEnv []corev1.EnvVar

	// Objects resolves what a container takes from configMaps and secrets.
	// When it is nil a reference that is not optional is an error.
	Objects Objects
}

// Container returns the config of one container.
func Container(in Input) (*runtimeapi.ContainerConfig, error) {
	c := in.Container
	env, err := environment(in)
	if err != nil {
		return nil, err
	}
	mounts, err := mounts(in, env)
	if err != nil {
		return nil, err
	}
	security, err := containerSecurity(in)
	if err != nil {
		return nil, err
	}
	resources, err := Resources(in.Node, in.Pod, c)
	if err != nil {
		return nil, err
	}
	signal, err := stopSignal(c)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ContainerConfig{
		Metadata:    &runtimeapi.ContainerMetadata{Name: c.Name, Attempt: in.Attempt},
		Image:       &runtimeapi.ImageSpec{Image: in.Image.GetId(), UserSpecifiedImage: c.Image},
		Command:     expandAll(c.Command, env.lookup),
		Args:        expandAll(c.Args, env.lookup),
		WorkingDir:  c.WorkingDir,
		Envs:        env.list(),
		Mounts:      mounts,
		Labels:      containerLabels(in.Pod, c),
		Annotations: containerAnnotations(in.Pod, c, in.Attempt),
		LogPath:     LogPath(c.Name, in.Attempt),
		Stdin:       c.Stdin,
		StdinOnce:   c.StdinOnce,
		Tty:         c.TTY,
		StopSignal:  signal,
		Linux:       &runtimeapi.LinuxContainerConfig{Resources: resources, SecurityContext: security},
	}, nil
}

// Ephemeral returns an ephemeral container as an ordinary one: the API gives
// both the same fields, so that this is no more than a conversion.
func Ephemeral(c *corev1.EphemeralContainer) *corev1.Container {
	return (*corev1.Container)(&c.EphemeralContainerCommon)
}

func expandAll(list []string, lookup expand.Lookup) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, expand.Expand(s, lookup))
	}
	return out
}

// stopSignal is lifecycle.stopSignal, or 0 for that of the image.
func stopSignal(c *corev1.Container) (runtimeapi.Signal, error) {
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
		return 0, nil
	}
	name := string(*c.Lifecycle.StopSignal)
	n, ok := runtimeapi.Signal_value["SIGNAL_"+name]
	if !ok {
		return 0, fmt.Errorf("container %q: unknown stopSignal %q", c.Name, name)
	}
	return runtimeapi.Signal(n), nil
}

// containers calls yield with every container of the pod's spec, the init
// containers first, without the ephemeral ones.
func containers(pod *corev1.Pod) func(yield func(*corev1.Container) bool) {
	return func(yield func(*corev1.Container) bool) {
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// podName is how upstream's messages name a pod: NAME_NAMESPACE(UID).
func podName(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}
