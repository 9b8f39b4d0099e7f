package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/spec"
)

// runOptions are the flags of run and spec.
type runOptions struct {
	name, network, user, workdir, entrypoint, hostname, memory string
	cpus                                                       float64
	limits                                                     limitOptions
	env, volumes, publish, capAdd, capDrop, labels             []string
	tty, stdin, readOnly, privileged, hostPID, newPrivs        bool
}

func (o *runOptions) addFlags(f *pflag.FlagSet) {
	f.SetInterspersed(false) // what follows the image belongs to the command
	f.StringVar(&o.name, "name", "", "`NAME` of the container")
	f.StringVar(&o.network, "network", "bridge", "`KIND` of network: none, bridge or host")
	f.StringVarP(&o.user, "user", "u", "", "`USER[:GROUP]`, by name or id")
	f.StringVarP(&o.workdir, "workdir", "w", "", "`DIR` to start in")
	f.StringVar(&o.entrypoint, "entrypoint", "", "`PROGRAM` instead of the image's")
	f.StringVar(&o.hostname, "hostname", "", "`NAME` of the host in the container")
	f.StringVarP(&o.memory, "memory", "m", "", "memory limit, such as `64m`")
	f.Float64Var(&o.cpus, "cpus", 0, "CPU limit in `CPUS`, such as 0.5")
	o.limits.addFlags(f)
	f.StringArrayVarP(&o.env, "env", "e", nil, "`KEY=VALUE` for the environment")
	f.StringArrayVarP(&o.volumes, "volume", "v", nil, "`DIR:PATH[:ro|rro|rslave|rshared]` to mount")
	f.StringArrayVarP(&o.publish, "publish", "p", nil, "`[IP:]HOSTPORT:PORT[/udp]` to forward")
	f.StringArrayVar(&o.capAdd, "cap-add", nil, "`CAPABILITY` to have, such as NET_ADMIN")
	f.StringArrayVar(&o.capDrop, "cap-drop", nil, "`CAPABILITY` not to have, or ALL")
	f.StringArrayVar(&o.labels, "label", nil, "`KEY=VALUE` to find it by")
	f.BoolVarP(&o.tty, "tty", "t", false, "give it a terminal")
	f.BoolVarP(&o.stdin, "interactive", "i", false, "give it our input")
	f.BoolVar(&o.readOnly, "read-only", false, "root file system is read-only")
	f.BoolVar(&o.privileged, "privileged", false, "no confinement at all")
	f.BoolVar(&o.hostPID, "host-pid", false, "share the node's PID namespace")
	f.BoolVar(&o.newPrivs, "allow-new-privileges", false, "let setuid programs work")
}

// pod returns the config of a pod that has one container.
func (o *runOptions) pod(logDir string) (*runtimeapi.PodSandboxConfig, error) {
	ns := &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER}
	if o.hostPID {
		ns.Pid = runtimeapi.NamespaceMode_NODE
	}
	switch o.network {
	case "host":
		if o.hostname != "" {
			return nil, errors.New("--hostname: a container in the host's network has the host's name")
		}
		ns.Network = runtimeapi.NamespaceMode_NODE
	case "none", "bridge":
	default:
		return nil, fmt.Errorf("--network %q: want none, bridge or host", o.network)
	}
	c := &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: o.name, Namespace: "runtime", Uid: o.name},
		Hostname:     cmp.Or(o.hostname, o.name),
		LogDirectory: logDir,
		Labels:       map[string]string{labelCommand: "runtime"},
		Annotations:  map[string]string{networkKind: o.network},
		Linux: &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
			NamespaceOptions: ns, Privileged: o.privileged,
		}},
	}
	if o.network == "host" {
		c.Hostname, _ = os.Hostname()
	}
	var err error
	if c.Linux.Sysctls, err = o.limits.sysctlMap(); err != nil {
		return nil, err
	}
	if len(o.publish) > 0 && o.network != "bridge" {
		return nil, fmt.Errorf("--publish: there is nothing to forward to with --network %s", o.network)
	}
	for _, p := range o.publish {
		m, err := parsePort(p)
		if err != nil {
			return nil, fmt.Errorf("-p %s: %w", p, err)
		}
		c.PortMappings = append(c.PortMappings, m)
	}
	return c, nil
}

// container returns the config of the container.
func (o *runOptions) container(image string, args []string, ns *runtimeapi.NamespaceOption) (*runtimeapi.ContainerConfig, error) {
	c := &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: o.name},
		Image:    &runtimeapi.ImageSpec{Image: image, UserSpecifiedImage: image},
		Args:     args, WorkingDir: o.workdir,
		Labels:  map[string]string{labelCommand: "runtime"},
		LogPath: "container.log",
		Tty:     o.tty, Stdin: o.stdin, StdinOnce: o.stdin,
	}
	if o.entrypoint != "" {
		c.Command = []string{o.entrypoint}
	}
	for _, e := range o.env {
		key, value, ok := strings.Cut(e, "=")
		if !ok {
			value = os.Getenv(key)
		}
		c.Envs = append(c.Envs, &runtimeapi.KeyValue{Key: key, Value: []byte(value)})
	}
	for _, l := range o.labels {
		key, value, _ := strings.Cut(l, "=")
		c.Labels[key] = value
	}
	for _, v := range o.volumes {
		m, err := parseVolume(v)
		if err != nil {
			return nil, fmt.Errorf("-v %s: %w", v, err)
		}
		c.Mounts = append(c.Mounts, m)
	}
	resources, err := o.resources()
	if err != nil {
		return nil, err
	}
	c.Linux = &runtimeapi.LinuxContainerConfig{Resources: resources, SecurityContext: o.security(ns)}
	c.Annotations = o.limits.annotations()
	c.Devices, err = o.limits.deviceList()
	return c, err
}

func (o *runOptions) security(ns *runtimeapi.NamespaceOption) *runtimeapi.LinuxContainerSecurityContext {
	return &runtimeapi.LinuxContainerSecurityContext{
		RunAsUsername:    o.user,
		NamespaceOptions: ns,
		Privileged:       o.privileged,
		ReadonlyRootfs:   o.readOnly,
		NoNewPrivs:       !o.newPrivs && !o.privileged,
		Capabilities:     &runtimeapi.Capability{AddCapabilities: o.capAdd, DropCapabilities: o.capDrop},
		MaskedPaths:      spec.DefaultMaskedPaths,
		ReadonlyPaths:    spec.DefaultReadonlyPaths,
		Seccomp:          &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault},
	}
}

func (o *runOptions) resources() (*runtimeapi.LinuxContainerResources, error) {
	r := &runtimeapi.LinuxContainerResources{CpuShares: o.limits.cpuShares, CpusetCpus: o.limits.cpuset}
	var err error
	if r.MemoryLimitInBytes, err = parseSize(o.memory); err != nil {
		return nil, fmt.Errorf("--memory %s: %w", o.memory, err)
	}
	if o.cpus != 0 {
		const period = 100_000 // microseconds, the kernel's default
		if !(o.cpus >= 0.01 && o.cpus < 1e6) {
			return nil, fmt.Errorf("--cpus %v: want 0.01 or more, the least that the kernel counts", o.cpus)
		}
		r.CpuPeriod, r.CpuQuota = period, int64(o.cpus*period)
	}
	return r, nil
}

// parseSize reads 64m, 1g, 4096.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, shift := strings.ToLower(s), 0
	for suffix, by := range map[string]int{"k": 10, "m": 20, "g": 30} {
		if rest, ok := strings.CutSuffix(strings.TrimSuffix(number, "b"), suffix); ok {
			number, shift = rest, by
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<(62-shift) {
		return 0, fmt.Errorf("want a size such as 64m or 1g")
	}
	return n << shift, nil
}

func parseVolume(s string) (*runtimeapi.Mount, error) {
	source, rest, ok := strings.Cut(s, ":")
	target, options, _ := strings.Cut(rest, ":")
	if !ok || source == "" || !filepath.IsAbs(target) {
		return nil, fmt.Errorf("want DIR:PATH")
	}
	abs, err := filepath.Abs(source)
	if err != nil {
		return nil, err
	}
	m := &runtimeapi.Mount{HostPath: abs, ContainerPath: target}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "", "rw":
		case "ro":
			m.Readonly = true
		case "rro":
			m.Readonly, m.RecursiveReadOnly = true, true
		case "rslave":
			m.Propagation = runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
		case "rshared":
			m.Propagation = runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL
		default:
			return nil, fmt.Errorf("unknown option %q", option)
		}
	}
	return m, nil
}

// parsePort reads 8080:80, 127.0.0.1:8080:80/udp, [::1]:8080:80.
func parsePort(s string) (*runtimeapi.PortMapping, error) {
	s, protocol, _ := strings.Cut(s, "/")
	m := &runtimeapi.PortMapping{}
	p, ok := runtimeapi.Protocol_value[strings.ToUpper(cmp.Or(protocol, "tcp"))]
	i := strings.LastIndex(s, ":")
	if !ok || i < 0 {
		return nil, fmt.Errorf("want [IP:]HOSTPORT:PORT[/tcp|/udp]")
	}
	m.Protocol = runtimeapi.Protocol(p)
	host, port := s[:i], s[i+1:]
	if strings.Contains(host, ":") {
		ip, hostPort, err := net.SplitHostPort(host)
		if err != nil {
			return nil, err
		}
		m.HostIp, host = ip, hostPort
	}
	from, err1 := strconv.ParseUint(host, 10, 16)
	to, err2 := strconv.ParseUint(port, 10, 16)
	if err1 != nil || err2 != nil || slices.Contains([]uint64{from, to}, 0) {
		return nil, fmt.Errorf("a port is between 1 and 65535")
	}
	m.HostPort, m.ContainerPort = int32(from), int32(to)
	return m, nil
}
