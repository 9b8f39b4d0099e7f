// Package spec turns what a kubelet asks for into an OCI runtime spec: the
// config.json that says, for one container, which program runs with which
// rights, in which namespaces, with which mounts and limits.
//
// These are pure functions. What they need to know about the machine is in
// [Host], what they need to know about the pod in [Sandbox], and the few files
// of the image that matter are read through [Files].
//
// Follows the OCI runtime specification 1.3 (config.md, config-linux.md) and,
// for defaults, what containerd and Docker have made customary.
package spec

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A Request is everything that decides a container's spec.
type Request struct {
	ID        string
	Rootfs    string                      // where the root file system will be mounted
	Config    *runtimeapi.ContainerConfig // what was asked for
	Image     v1.Config                   // what the image says
	Files     Files                       // the image's /etc/passwd and /etc/group
	TargetPID int                         // of the container whose PID namespace to join, with NamespaceMode TARGET
	Sandbox   Sandbox
	Host      Host
}

// A Sandbox is what a container gets from its pod.
type Sandbox struct {
	PausePID     int // whose namespaces are the pod's
	Hostname     string
	CgroupParent string // absolute, in the cgroup hierarchies
	UserNS       bool   // the pod has a user namespace
	HostNetwork  bool
	HostIPC      bool

	// Files and directories on the node that containers of the pod mount.
	ResolvConf, HostnameFile, Hosts, Shm string
}

// Files reads a file of the image by its path inside. An image without the
// file is fs.ErrNotExist.
type Files func(path string) ([]byte, error)

// Generate returns the spec.
func Generate(r Request) (*specs.Spec, error) {
	sec := r.Config.GetLinux().GetSecurityContext()
	if err := refuse(sec, r.Host); err != nil {
		return nil, err
	}
	process, err := newProcess(r, sec)
	if err != nil {
		return nil, err
	}
	mounts, propagation, err := newMounts(r, sec)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: r.Rootfs, Readonly: sec.GetReadonlyRootfs()},
		Process: process,
		Mounts:  mounts,
		Linux: &specs.Linux{
			CgroupsPath:       filepath.Join("/", r.Sandbox.CgroupParent, r.ID),
			Namespaces:        newNamespaces(r, sec),
			RootfsPropagation: propagation,
			MaskedPaths:       sec.GetMaskedPaths(),
			ReadonlyPaths:     sec.GetReadonlyPaths(),
		},
	}
	if sec.GetPrivileged() {
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	}
	if s.Linux.Devices, s.Linux.Resources, err = newDevices(r, sec); err != nil {
		return nil, err
	}
	SetResources(s, r.Config.GetLinux().GetResources(), r.Host)
	if err := setLimits(s, r.Config.GetAnnotations(), r.Host); err != nil {
		return nil, err
	}
	s.Linux.Seccomp, err = newSeccomp(sec, r.Host, s)
	return s, err
}

// DefaultMaskedPaths are hidden from containers unless they ask otherwise;
// DefaultReadonlyPaths can be read. A kubelet sends these lists itself.
var (
	DefaultMaskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
		"/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
	DefaultReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// refuse names what can't be done, or not on this machine, instead of leaving it out.
func refuse(sec *runtimeapi.LinuxContainerSecurityContext, h Host) error {
	if !h.SELinux && selinuxLabel(sec) != "" {
		return errors.New("SELinux options are set, but the kernel runs without SELinux")
	}
	a := sec.GetApparmor()
	if !h.AppArmor && a.GetProfileType() == runtimeapi.SecurityProfile_Localhost {
		return fmt.Errorf("AppArmor profile %q is set, but the kernel runs without AppArmor", a.GetLocalhostRef())
	}
	if sec.GetRunAsGroup() != nil && sec.GetRunAsUser() == nil && sec.GetRunAsUsername() == "" {
		return errors.New("run_as_group is set without a user")
	}
	return checkCapabilities(sec.GetCapabilities())
}

func selinuxLabel(sec *runtimeapi.LinuxContainerSecurityContext) string {
	o := sec.GetSelinuxOptions()
	return strings.Trim(strings.Join([]string{o.GetUser(), o.GetRole(), o.GetType(), o.GetLevel()}, ":"), ":")
}

func newProcess(r Request, sec *runtimeapi.LinuxContainerSecurityContext) (*specs.Process, error) {
	args, err := Args(r.Config, r.Image)
	if err != nil {
		return nil, err
	}
	user, err := ResolveUser(sec, r.Image.User, r.Files)
	if err != nil {
		return nil, err
	}
	p := &specs.Process{
		Args:            args,
		Cwd:             firstOf(r.Config.GetWorkingDir(), r.Image.WorkingDir, "/"),
		Env:             newEnv(r),
		Terminal:        r.Config.GetTty(),
		User:            user,
		NoNewPrivileges: sec.GetNoNewPrivs(),
		Capabilities:    newCapabilities(sec, user.UID, r.Host.Capabilities),
	}
	if r.Host.AppArmor && !sec.GetPrivileged() {
		if a := sec.GetApparmor(); a.GetProfileType() == runtimeapi.SecurityProfile_Localhost {
			p.ApparmorProfile = a.GetLocalhostRef()
		}
	}
	p.SelinuxLabel = selinuxLabel(sec)
	if want := int(r.Config.GetLinux().GetResources().GetOomScoreAdj()); r.Config.GetLinux().GetResources() != nil {
		adj := max(want, r.Host.MinOOMScoreAdj)
		p.OOMScoreAdj = &adj
	}
	return p, nil
}

// Args is the command line. As in Docker, args alone replace the image's Cmd;
// a command replaces both its Entrypoint and its Cmd.
func Args(c *runtimeapi.ContainerConfig, image v1.Config) ([]string, error) {
	entrypoint, cmd := image.Entrypoint, image.Cmd
	if len(c.GetCommand()) > 0 {
		entrypoint, cmd = c.GetCommand(), nil
	}
	if len(c.GetArgs()) > 0 {
		cmd = c.GetArgs()
	}
	args := slices.Concat(entrypoint, cmd)
	if len(args) == 0 {
		return nil, errors.New("no command: neither the container nor its image has one")
	}
	return args, nil
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// newEnv merges, the later winning: defaults, the image, the container.
func newEnv(r Request) []string {
	env := []string{defaultPath}
	if r.Sandbox.Hostname != "" {
		env = append(env, "HOSTNAME="+r.Sandbox.Hostname)
	}
	if r.Config.GetTty() {
		env = append(env, "TERM=xterm")
	}
	env = append(env, r.Image.Env...)
	for _, e := range r.Config.GetEnvs() {
		env = append(env, e.GetKey()+"="+string(e.GetValue()))
	}
	var out []string
	at := map[string]int{}
	for _, e := range env {
		key, _, _ := strings.Cut(e, "=")
		if i, ok := at[key]; ok {
			out[i] = e
			continue
		}
		at[key] = len(out)
		out = append(out, e)
	}
	return out
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
