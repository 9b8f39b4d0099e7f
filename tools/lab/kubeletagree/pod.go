package kubeletagree

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Images.
const (
	toolbox = "groundup.local/toolbox:v1"
	web     = "groundup.local/web:v1"
)

// missing is an image that is nowhere, another one for each container: who of two asks
// for it again first is chance.
func missing(container string) string { return "127.0.0.1:9/" + container + ":v1" }

// What containers do.
const (
	obeys = "trap 'echo bye; exit 0' TERM; echo begun; while true; do sleep 0.1; done"
	stays = "trap '' TERM; echo begun; while true; do sleep 0.1; done"
	ends  = "echo done; sleep 1"
	fails = "echo no >&2; exit 3"
	later = "sleep 2; exit 1"
	says  = "echo why > /dev/termination-log; exit 4"
	quits = "sleep 1; echo 42 > /dev/termination-log; echo last words; exit 42"
	// shows writes what it was given.
	shows = "exec 2>&1; env | grep -v -e _SERVICE_ -e _PORT -e HOSTNAME | sort; pwd; id; ls / /data | sort; cat /data/*; sleep 3600"
)

func (s *story) makePod() *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: s.name, Labels: map[string]string{"mood": "fine"}, Annotations: map[string]string{"note": "a"}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false), EnableServiceLinks: new(s.oneIn(2)),
			TerminationGracePeriodSeconds: new(s.rand.Int64N(4)),
			RestartPolicy:                 corev1.RestartPolicy(s.one("Always", "Always", "OnFailure", "Never")),
		},
	}
	spec := &p.Spec
	for i := range 1 + s.rand.IntN(3)*s.rand.IntN(2) {
		spec.Containers = append(spec.Containers, s.container(fmt.Sprint("c", i)))
	}
	for i := range max(0, s.rand.IntN(5)-2) {
		c := s.container(fmt.Sprint("i", i))
		c.LivenessProbe, c.ReadinessProbe, c.StartupProbe, c.Lifecycle = nil, nil, nil, nil
		if s.oneIn(2) {
			c.Command = []string{"sh", "-c", s.one(ends, ends, ends, fails, says)}
		}
		if s.oneIn(3) {
			c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			s.lookAfter(&c)
		}
		spec.InitContainers = append(spec.InitContainers, c)
	}
	switch s.rand.IntN(16) {
	case 0:
		spec.HostNetwork = true
	case 1:
		spec.HostPID = true
	case 2:
		spec.ShareProcessNamespace = new(true)
	case 3:
		spec.HostAliases = []corev1.HostAlias{{IP: "10.1.2.3", Hostnames: []string{"far.example.com"}}}
	case 4:
		spec.Hostname, spec.Subdomain = "here", "there"
	case 5:
		spec.DNSPolicy, spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"10.9.9.9"}, Searches: []string{"example.com"}}
	case 6:
		spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true)}
	case 7:
		spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1000)), RunAsGroup: new(int64(2000)), FSGroup: new(int64(3000)), SupplementalGroups: []int64{4000}}
	case 8:
		spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: s.one("kernel.shm_rmid_forced", "net.ipv4.ip_unprivileged_port_start", "kernel.msgmax"), Value: "1"}}}
	case 9:
		spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	case 10:
		spec.NodeSelector = map[string]string{"disk": "ssd"} // which no node is
	}
	if s.oneIn(8) && spec.NodeSelector == nil {
		spec.ActiveDeadlineSeconds = new(1 + s.rand.Int64N(8))
	}
	s.volumes(spec)
	return p
}

func (s *story) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: toolbox}
	script := s.one(obeys, obeys, obeys, stays, ends, fails, later, says, quits, shows, shows)
	c.Command = []string{"sh", "-c", script}
	switch s.rand.IntN(20) {
	case 0:
		c.Image = missing(name)
	case 1:
		c.Image, c.ImagePullPolicy = missing(name), corev1.PullNever
	case 2:
		c.Image = "Not An Image"
	case 3:
		c.Command = []string{"no-such-program"}
	case 4:
		c.WorkingDir = s.one("/data", "/nowhere", "/etc/hostname")
	case 5:
		c.Command, c.Args = []string{"sleep"}, []string{"$(SECONDS_LEFT)"}
		c.Env = []corev1.EnvVar{{Name: "SECONDS_LEFT", Value: "3600"}}
	case 6:
		c.Image, c.ImagePullPolicy = missing(name), corev1.PullAlways
	case 7:
		c.Image, c.Command = web, nil
	case 8:
		c.Command, c.Resources.Limits = []string{"stress", "-m", "100Mi"}, corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("50Mi")}
	case 9:
		c.SecurityContext = &corev1.SecurityContext{
			ReadOnlyRootFilesystem: new(s.oneIn(2)), RunAsUser: new(s.rand.Int64N(2)), AllowPrivilegeEscalation: new(false),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	case 10:
		c.SecurityContext = &corev1.SecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(s.rand.IntN(2)))}
	case 11:
		c.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	case 12:
		c.Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: int32(30000 + s.rand.IntN(2000))}}
	}
	s.environment(&c)
	s.lookAfter(&c)
	if slices.Contains([]string{ends, fails, later, says, quits}, script) {
		c.LivenessProbe, c.StartupProbe = nil, nil // whether it ends or is ended is chance
	}
	if s.oneIn(4) && c.Resources.Limits == nil {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("20Mi")}
		if s.oneIn(2) {
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("200m"), corev1.ResourceMemory: resource.MustParse("40Mi")}
		}
		if s.oneIn(3) && c.Resources.Limits != nil {
			c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}
		}
	}
	return c
}

func (s *story) environment(c *corev1.Container) {
	from := func(name string, source corev1.EnvVarSource) {
		c.Env = append(c.Env, corev1.EnvVar{Name: name, ValueFrom: &source})
	}
	switch s.rand.IntN(14) {
	case 0:
		from("COLOR", corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: s.one("settings", "settings", "nothing")}, Key: s.one("color", "colour"), Optional: new(s.oneIn(2))}})
	case 1:
		from("WORD", corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: s.one("password", "password", "nothing")}, Key: s.one("word", "work"), Optional: new(s.oneIn(2))}})
	case 2:
		c.EnvFrom = []corev1.EnvFromSource{{Prefix: s.one("", "P_"), ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: s.one("settings", "nothing")}, Optional: new(s.oneIn(2))}}}
	case 3:
		c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: s.one("password", "nothing")}, Optional: new(s.oneIn(2))}}}
	case 4:
		from("NAME", corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: s.one("metadata.name", "metadata.labels['mood']", "metadata.annotations['none']", "spec.serviceAccountName", "status.podIP")}})
		c.Env = append(c.Env, corev1.EnvVar{Name: "TWICE", Value: "$(NAME) $$(NAME) $(NONE)"})
	case 5:
		from("ROOM", corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: s.one("requests.cpu", "limits.cpu", "requests.memory")}})
	}
}

// lookAfter gives a container probes and hooks.
func (s *story) lookAfter(c *corev1.Container) {
	if s.oneIn(4) {
		c.LivenessProbe = s.probe()
	}
	if s.oneIn(4) {
		c.ReadinessProbe = s.probe()
	}
	if s.oneIn(6) {
		c.StartupProbe = s.probe()
	}
	if s.oneIn(8) {
		c.Lifecycle = &corev1.Lifecycle{}
		handler := func() *corev1.LifecycleHandler {
			h := s.handler()
			return &corev1.LifecycleHandler{Exec: h.Exec, HTTPGet: h.HTTPGet, Sleep: map[bool]*corev1.SleepAction{true: {Seconds: 1}}[h.TCPSocket != nil]}
		}
		if s.oneIn(2) {
			c.Lifecycle.PostStart = handler()
		} else {
			c.Lifecycle.PreStop = handler()
		}
	}
}

func (s *story) handler() corev1.ProbeHandler {
	switch s.rand.IntN(5) {
	case 0:
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(8080), Path: s.one("/", "/none-such")}}
	case 1:
		return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}
	}
	return corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", s.one("true", "true", "echo bad; exit 1", "test -e /tmp/well", "sleep 60")}}}
}

func (s *story) probe() *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: s.handler(), PeriodSeconds: 1, TimeoutSeconds: 1,
		FailureThreshold: 1 + s.rand.Int32N(3), InitialDelaySeconds: s.rand.Int32N(2),
	}
}

// volumes gives each container of a pod the same volume, or none.
func (s *story) volumes(spec *corev1.PodSpec) {
	v := corev1.Volume{Name: "data"}
	switch s.rand.IntN(16) {
	case 0, 1:
		v.EmptyDir = &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMedium(s.one("", "Memory"))}
	case 2:
		v.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: s.one("settings", "settings", "nothing")}, Optional: new(s.oneIn(2))}
		if s.oneIn(2) {
			v.ConfigMap.Items = []corev1.KeyToPath{{Key: s.one("color", "colour"), Path: "a/b"}}
		}
	case 3:
		v.Secret = &corev1.SecretVolumeSource{SecretName: s.one("password", "password", "nothing"), Optional: new(s.oneIn(2)), DefaultMode: new(int32(0o400))}
	case 4:
		v.DownwardAPI = &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}, {Path: "note", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['note']"}},
		}}
	case 5:
		v.HostPath = &corev1.HostPathVolumeSource{Path: s.one("/tmp", "/none-such", "/etc/hostname"), Type: new(corev1.HostPathType(s.one("", "Directory", "File", "Socket")))}
	case 6:
		v.Projected = &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(3600))}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Items: []corev1.KeyToPath{{Key: "color", Path: "color"}}}},
		}}
		v.Projected.Sources = v.Projected.Sources[s.rand.IntN(2):]
	default:
		return
	}
	spec.Volumes = []corev1.Volume{v}
	mount := corev1.VolumeMount{Name: "data", MountPath: "/data", ReadOnly: s.oneIn(4)}
	switch s.rand.IntN(8) {
	case 0:
		mount.SubPath = s.one("color", "a", "none/such")
	case 1:
		mount.SubPathExpr = "$(NAME)"
	}
	for i := range spec.InitContainers {
		spec.InitContainers[i].VolumeMounts = []corev1.VolumeMount{mount}
	}
	for i := range spec.Containers {
		spec.Containers[i].VolumeMounts = []corev1.VolumeMount{mount}
	}
}
