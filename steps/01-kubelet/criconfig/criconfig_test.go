package criconfig

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/userns"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// node is the one that all tests run on; they change copies of it.
func node() Node {
	return Node{
		Name:          "node-1",
		IPs:           []netip.Addr{netip.MustParseAddr("10.0.0.1")},
		RootDir:       "/var/lib/kubelet",
		PodLogsDir:    "/var/log/pods",
		Capacity:      corev1.ResourceList{"memory": resource.MustParse("4Gi"), "cpu": resource.MustParse("4")},
		Allocatable:   corev1.ResourceList{"memory": resource.MustParse("3Gi"), "cpu": resource.MustParse("4")},
		ClusterDomain: "cluster.local",
		HostDNS:       DNS{Servers: []string{"192.0.2.1"}, Searches: []string{"example.com"}, Options: []string{"edns0"}},
		CPUCFSQuota:   true,
	}
}

// podOf reads the spec of a pod, as a manifest has it.
func podOf(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "1234", Labels: map[string]string{"app": "web"}}}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatalf("spec: %v\n%s", err, spec)
	}
	return pod
}

// input is the first container of a pod, ready to be made.
func input(pod *corev1.Pod) Input {
	return Input{
		Node: node(), Pod: pod, Container: &pod.Spec.Containers[0],
		Image: &runtimeapi.Image{Id: "sha256:beef"}, PodIPs: []string{"10.1.0.2"},
	}
}

// check compares what a function gave, in a form that prints well.
func check[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}

func TestSandbox(t *testing.T) {
	pod := podOf(t, `
securityContext: {runAsUser: 7, fsGroup: 9, supplementalGroups: [11], sysctls: [{name: net/ipv4/tcp_syncookies, value: "0"}]}
containers:
- name: main
  ports:
  - {containerPort: 80, hostPort: 8080, hostIP: 127.0.0.1}
  - {containerPort: 81}
  - {containerPort: 53, hostPort: 53, protocol: UDP}
`)
	got, err := Sandbox(node(), pod, 3, "/kubepods/besteffort/pod1234")
	if err != nil {
		t.Fatal(err)
	}
	check(t, got.Metadata.String(), (&runtimeapi.PodSandboxMetadata{Name: "web", Namespace: "shop", Uid: "1234", Attempt: 3}).String())
	check(t, got.LogDirectory, "/var/log/pods/shop_web_1234")
	check(t, got.Hostname, "web")
	check(t, got.Linux.CgroupParent, "/kubepods/besteffort/pod1234")
	check(t, got.Linux.Sysctls, map[string]string{"net.ipv4.tcp_syncookies": "0"})
	check(t, got.Linux.SecurityContext.SupplementalGroups, []int64{9, 11})
	check(t, got.Linux.SecurityContext.RunAsUser.GetValue(), 7)
	check(t, got.Labels, map[string]string{
		"app": "web", "io.kubernetes.pod.name": "web", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": "1234",
	})
	var ports []string
	for _, p := range got.PortMappings {
		ports = append(ports, p.String())
	}
	check(t, ports, []string{
		(&runtimeapi.PortMapping{ContainerPort: 80, HostPort: 8080, HostIp: "127.0.0.1"}).String(),
		(&runtimeapi.PortMapping{ContainerPort: 53, HostPort: 53, Protocol: runtimeapi.Protocol_UDP}).String(),
	})
}

// An init container is gone before the app that has the same port.
func TestAPortOfTheNodeIsForWhoStays(t *testing.T) {
	got, err := Sandbox(node(), podOf(t, `
initContainers:
- {name: first, ports: [{containerPort: 80, hostPort: 8080}]}
- {name: sidecar, restartPolicy: Always, ports: [{containerPort: 82, hostPort: 82}]}
containers:
- {name: main, ports: [{containerPort: 80, hostPort: 8080}]}
`), 0, "")
	if err != nil {
		t.Fatal(err)
	}
	var ports []int32
	for _, p := range got.PortMappings {
		ports = append(ports, p.HostPort)
	}
	check(t, ports, []int32{82, 8080})
}

func TestSandboxRefusesRuntimeClass(t *testing.T) {
	_, err := Sandbox(node(), podOf(t, `{runtimeClassName: gvisor, containers: [{name: main}]}`), 0, "")
	checkError(t, err, `runtimeClassName "gvisor"`)
}

func TestContainer(t *testing.T) {
	pod := podOf(t, `
terminationGracePeriodSeconds: 5
containers:
- name: main
  image: web:v1
  command: [/bin/web, "--name=$(NAME)"]
  args: ["$$(NAME)", "$(NO)"]
  workingDir: /srv
  env: [{name: NAME, value: x}]
  ports: [{containerPort: 80}]
  lifecycle: {stopSignal: SIGUSR1, preStop: {exec: {command: [sync]}}}
  terminationMessagePath: /dev/termination-log
  terminationMessagePolicy: File
  tty: true
  stdin: true
`)
	in := input(pod)
	in.Attempt, in.HostsFile, in.TerminationLog = 2, "/pods/1234/etc-hosts", "/pods/1234/containers/main/0a"
	got, err := Container(in)
	if err != nil {
		t.Fatal(err)
	}
	check(t, got.Command, []string{"/bin/web", "--name=x"})
	check(t, got.Args, []string{"$(NAME)", "$(NO)"})
	check(t, got.WorkingDir, "/srv")
	check(t, got.LogPath, "main/2.log")
	check(t, got.StopSignal, runtimeapi.Signal_SIGNAL_SIGUSR1)
	check(t, got.Image.String(), (&runtimeapi.ImageSpec{Image: "sha256:beef", UserSpecifiedImage: "web:v1"}).String())
	check(t, []bool{got.Tty, got.Stdin, got.StdinOnce}, []bool{true, true, false})
	check(t, mountTable(got), []string{"/pods/1234/etc-hosts /etc/hosts", "/pods/1234/containers/main/0a /dev/termination-log"})

	info := ReadInfo(got.Labels, got.Annotations)
	five := int64(5)
	check(t, info, Info{
		PodName: "web", PodNamespace: "shop", PodUID: "1234", Container: "main", Hash: Hash(in.Container), RestartCount: 2,
		TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File", PodGracePeriod: &five,
		ContainerPorts: in.Container.Ports, PreStop: in.Container.Lifecycle.PreStop,
	})
}

func TestReadInfoOfAStranger(t *testing.T) {
	check(t, ReadInfo(nil, map[string]string{annotationRestartCount: "x", annotationPreStop: "{"}), Info{})
}

func mountTable(c *runtimeapi.ContainerConfig) []string {
	var out []string
	for _, m := range c.Mounts {
		s := m.HostPath + " " + m.ContainerPath
		if m.Readonly {
			s += " ro"
		}
		if m.RecursiveReadOnly {
			s += " rro"
		}
		if m.Propagation != runtimeapi.MountPropagation_PROPAGATION_PRIVATE {
			s += " " + m.Propagation.String()
		}
		for _, o := range m.MountOptions {
			s += " " + o
		}
		out = append(out, s)
	}
	return out
}

func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name, container string
		want            []string // NAME=value
		err             string
	}{
		{name: "later ones see earlier ones", container: `
env: [{name: A, value: "1"}, {name: B, value: "$(A)$(C)"}, {name: C, value: "$(B)"}]`,
			want: []string{"BASE=b", "A=1", "B=1$(C)", "C=1$(C)"}},
		{name: "a variable that repeats keeps its place", container: `
env: [{name: A, value: "1"}, {name: B, value: "2"}, {name: A, value: "$(A)3"}]`,
			want: []string{"BASE=b", "A=13", "B=2"}},
		{name: "the container's own replace the base", container: `
env: [{name: BASE, value: "own $(BASE)"}]`,
			want: []string{"BASE=own b"}},
		{name: "fields", container: `
env:
- {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
- {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
- {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
- {name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}`,
			want: []string{"BASE=b", "NODE=node-1", "IP=10.1.0.2", "HOST=10.0.0.1", "APP=web", "MEM=3072"}},
		{name: "envFrom", container: `
envFrom: [{prefix: P_, configMapRef: {name: conf}}, {secretRef: {name: key}}, {secretRef: {name: none, optional: true}}]
env: [{name: A, value: "$(P_x)$(pass)"}]`,
			want: []string{"BASE=b", "P_x=1", "P_y=2", "pass=word", "A=1word"}},
		{name: "keys", container: `
env:
- {name: X, valueFrom: {configMapKeyRef: {name: conf, key: x}}}
- {name: Z, valueFrom: {configMapKeyRef: {name: conf, key: z, optional: true}}}
- {name: P, valueFrom: {secretKeyRef: {name: key, key: pass}}}`,
			want: []string{"BASE=b", "X=1", "P=word"}},
		{name: "missing key", container: `env: [{name: Z, valueFrom: {configMapKeyRef: {name: conf, key: z}}}]`,
			err: "couldn't find key z in ConfigMap shop/conf"},
		{name: "missing object", container: `envFrom: [{secretRef: {name: none}}]`, err: `secret "none" not found`},
		{name: "source that fails", container: `envFrom: [{secretRef: {name: broken}}]`, err: `get secret "broken": boom`},
		{name: "unknown field", container: `env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.phase}}}]`,
			err: `container "main": env A: unsupported fieldPath: status.phase`},
		{name: "file", container: `env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k}}}]`, err: "fileKeyRef is not supported"},
		{name: "nothing", container: `env: [{name: A, valueFrom: {}}]`, err: "valueFrom is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(podOf(t, "containers:\n- name: main\n"+indent(tt.container)))
			in.BaseEnv = []corev1.EnvVar{{Name: "BASE", Value: "b"}}
			in.Objects = fakeObjects{}
			got, err := Container(in)
			if tt.err != "" {
				checkError(t, err, tt.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var env []string
			for _, kv := range got.Envs {
				env = append(env, kv.Key+"="+string(kv.Value))
			}
			check(t, env, tt.want)
		})
	}
}

func TestWithoutObjectsOnlyOptionalReferencesPass(t *testing.T) {
	_, err := Container(input(podOf(t, `containers: [{name: main, envFrom: [{configMapRef: {name: conf}}]}]`)))
	checkError(t, err, `configmap "conf": this kubelet has no API server`)
	if _, err = Container(input(podOf(t, `containers: [{name: main, envFrom: [{configMapRef: {name: conf, optional: true}}]}]`))); err != nil {
		t.Error(err)
	}
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") + "\n"
}

type fakeObjects struct{}

func (fakeObjects) ConfigMap(_, name string) (*corev1.ConfigMap, error) {
	if name != "conf" {
		return nil, nil
	}
	return &corev1.ConfigMap{Data: map[string]string{"y": "2", "x": "1"}}, nil
}

func (fakeObjects) Secret(_, name string) (*corev1.Secret, error) {
	switch name {
	case "key":
		return &corev1.Secret{Data: map[string][]byte{"pass": []byte("word")}}, nil
	case "broken":
		return nil, errors.New("boom")
	}
	return nil, nil
}

func TestMounts(t *testing.T) {
	for _, tt := range []struct {
		name, mount, want, err string
	}{
		{name: "plain", mount: `{name: data, mountPath: /data}`, want: "/vol/data /data"},
		{name: "relative mount path", mount: `{name: data, mountPath: data/x}`, want: "/vol/data /data/x"},
		{name: "read only", mount: `{name: data, mountPath: /data, readOnly: true}`, want: "/vol/data /data ro"},
		{name: "options", mount: `{name: data, mountPath: /data, bindMountOptions: [noexec]}`, want: "/vol/data /data noexec"},
		{name: "unknown option", mount: `{name: data, mountPath: /data, bindMountOptions: [suid]}`, err: `bindMountOptions: "suid"`},
		{name: "subPath", mount: `{name: data, mountPath: /data, subPath: a/b}`, want: "/sub/0/data/a/b /data"},
		{name: "subPathExpr", mount: `{name: data, mountPath: /data, subPathExpr: "x/$(A)"}`, want: "/sub/0/data/x/1 /data"},
		{name: "subPath does not expand", mount: `{name: data, mountPath: /data, subPath: "$(A)"}`, want: "/sub/0/data/$(A) /data"},
		{name: "missing variable", mount: `{name: data, mountPath: /data, subPathExpr: "$(B)"}`, err: `missing value for "B"`},
		{name: "absolute by expansion", mount: `{name: data, mountPath: /data, subPathExpr: "$(ABS)"}`, err: "must not be an absolute path"},
		{name: "escape by expansion", mount: `{name: data, mountPath: /data, subPathExpr: "$(UP)/x"}`, err: "must not contain '..'"},
		{name: "both", mount: `{name: data, mountPath: /data, subPath: a, subPathExpr: b}`, err: "mutually exclusive"},
		{name: "unknown volume", mount: `{name: none, mountPath: /data}`, err: `cannot find volume "none" to mount into container "main"`},
		{name: "propagation in", mount: `{name: data, mountPath: /data, mountPropagation: HostToContainer}`,
			want: "/vol/data /data PROPAGATION_HOST_TO_CONTAINER"},
		{name: "propagation out", mount: `{name: data, mountPath: /data, mountPropagation: Bidirectional}`, err: "only to privileged containers"},
		{name: "recursive read only", mount: `{name: data, mountPath: /data, readOnly: true, recursiveReadOnly: Enabled}`, want: "/vol/data /data ro rro"},
		{name: "recursive, not read only", mount: `{name: data, mountPath: /data, recursiveReadOnly: IfPossible}`, err: "requires readOnly"},
		{name: "recursive, propagating", mount: `{name: data, mountPath: /data, readOnly: true, recursiveReadOnly: Enabled, mountPropagation: HostToContainer}`,
			err: "requires mountPropagation None"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(podOf(t, `{containers: [{name: main, volumeMounts: [`+tt.mount+`],
				env: [{name: A, value: "1"}, {name: ABS, value: /etc}, {name: UP, value: ..}]}]}`))
			in.Node.RecursiveReadOnly = true
			in.Volumes = map[string]volume.Mounted{"data": {Path: "/vol/data"}}
			in.SubPath = func(_ int, name, sub string) (string, error) { return "/sub/0/" + name + "/" + sub, nil }
			got, err := Container(in)
			if tt.err != "" {
				checkError(t, err, tt.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			check(t, mountTable(got), []string{tt.want})
		})
	}
}

func TestRecursiveReadOnlyNeedsTheRuntime(t *testing.T) {
	for mode, want := range map[string]string{"Enabled": "not supported", "IfPossible": ""} {
		in := input(podOf(t, `containers: [{name: main, volumeMounts: [{name: data, mountPath: /d, readOnly: true, recursiveReadOnly: `+mode+`}]}]`))
		in.Volumes = map[string]volume.Mounted{"data": {Path: "/vol"}}
		got, err := Container(in)
		if want != "" {
			checkError(t, err, want)
			continue
		}
		if err != nil || got.Mounts[0].RecursiveReadOnly {
			t.Errorf("%s: got %v, %v, want a plain read-only mount", mode, got, err)
		}
	}
}

func TestOwnHostsFileWins(t *testing.T) {
	in := input(podOf(t, `containers: [{name: main, volumeMounts: [{name: data, mountPath: /etc/hosts/}]}]`))
	in.Volumes, in.HostsFile = map[string]volume.Mounted{"data": {Path: "/vol"}}, "/managed"
	got, err := Container(in)
	if err != nil {
		t.Fatal(err)
	}
	check(t, mountTable(got), []string{"/vol /etc/hosts"})
}

func TestUserNamespace(t *testing.T) {
	pod := podOf(t, `{hostUsers: false, containers: [{name: main, volumeMounts: [{name: data, mountPath: /d}], securityContext: {procMount: Unmasked}}]}`)
	in := input(pod)
	in.Node.IDRange = func(types.UID) (userns.Range, error) { return userns.Range{First: 131072}, nil }
	in.Volumes = map[string]volume.Mounted{"data": {Path: "/vol"}}
	got, err := Container(in)
	if err != nil {
		t.Fatal(err)
	}
	want := (&runtimeapi.IDMapping{HostId: 131072, Length: 65536}).String()
	options := got.Linux.SecurityContext.NamespaceOptions.UsernsOptions
	check(t, options.Mode, runtimeapi.NamespaceMode_POD)
	for where, ids := range map[string][]*runtimeapi.IDMapping{
		"uids": options.Uids, "gids": options.Gids, "mount uids": got.Mounts[0].UidMappings, "mount gids": got.Mounts[0].GidMappings,
	} {
		if len(ids) != 1 || ids[0].String() != want {
			t.Errorf("%s: got %v, want %s", where, ids, want)
		}
	}
	if got.Linux.SecurityContext.MaskedPaths != nil {
		t.Error("procMount Unmasked: paths are masked")
	}
	pod.Spec.HostPID = true
	_, err = Sandbox(in.Node, pod, 0, "")
	checkError(t, err, "hostUsers: false excludes")
}

func TestNamespaces(t *testing.T) {
	const pod, own, host, target = runtimeapi.NamespaceMode_POD, runtimeapi.NamespaceMode_CONTAINER, runtimeapi.NamespaceMode_NODE, runtimeapi.NamespaceMode_TARGET
	for _, tt := range []struct {
		spec, target      string
		network, pid, ipc runtimeapi.NamespaceMode
	}{
		{"", "", pod, own, pod},
		{"hostNetwork: true", "", host, own, pod},
		{"hostPID: true", "", pod, host, pod},
		{"hostIPC: true", "", pod, own, host},
		{"shareProcessNamespace: true", "", pod, pod, pod},
		{"", "abc", pod, target, pod},
		{"shareProcessNamespace: true", "abc", pod, pod, pod},
		{"hostPID: true", "abc", pod, host, pod},
	} {
		got, err := namespaces(node(), podOf(t, tt.spec), tt.target)
		if err != nil {
			t.Fatal(err)
		}
		if got.Network != tt.network || got.Pid != tt.pid || got.Ipc != tt.ipc {
			t.Errorf("%s, target %q: got %v, want network %v, pid %v, ipc %v", tt.spec, tt.target, got, tt.network, tt.pid, tt.ipc)
		}
	}
	_, err := namespaces(node(), podOf(t, `{hostPID: true, shareProcessNamespace: true}`), "")
	checkError(t, err, "cannot both be enabled")
}

func TestHash(t *testing.T) {
	a := corev1.Container{Name: "main", Image: "web:v1"}
	b := a
	b.Args = []string{"x"}
	if Hash(&a) != Hash(&b) {
		t.Error("args changed the hash")
	}
	b.Image = "web:v2"
	if Hash(&a) == Hash(&b) {
		t.Error("the image did not change the hash")
	}
}

func TestAdmit(t *testing.T) {
	n := node()
	n.AllowedUnsafeSysctls = []string{"net.core.*", "kernel.msgmax", "vm.swappiness"}
	for _, tt := range []struct{ spec, reason, message string }{
		{`{}`, "", ""},
		{`os: {name: windows}`, "PodOSNotSupported", "OS field doesn't match"},
		{`os: {name: linux}`, "", ""},
		{`securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}]}`, "", ""},
		{`securityContext: {sysctls: [{name: net/ipv4/tcp_syncookies, value: "1"}]}`, "", ""},
		{`securityContext: {sysctls: [{name: net.core.somaxconn, value: "1"}]}`, "", ""},
		{`securityContext: {sysctls: [{name: kernel.msgmax, value: "1"}]}`, "", ""},
		{`securityContext: {sysctls: [{name: kernel.msgmax2, value: "1"}]}`, "SysctlForbidden", `forbidden sysctl: "kernel.msgmax2" not allowlisted`},
		{`securityContext: {sysctls: [{name: vm.swappiness, value: "1"}]}`, "SysctlForbidden", "belongs to no namespace"},
		{`{hostIPC: true, securityContext: {sysctls: [{name: kernel.msgmax, value: "1"}]}}`, "SysctlForbidden", "host ipc enabled"},
		{`{hostNetwork: true, securityContext: {sysctls: [{name: net.core.somaxconn, value: "1"}]}}`, "SysctlForbidden", "host net enabled"},
		{`{containers: [{name: a, securityContext: {appArmorProfile: {type: RuntimeDefault}}}]}`, "AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"},
		{`{containers: [{name: a, securityContext: {appArmorProfile: {type: Unconfined}}}]}`, "", ""},
		{`{securityContext: {seLinuxOptions: {level: s0}}, containers: [{name: a}]}`, "SELinux", "SELinux is not enabled on the host"},
		{`{hostUsers: false}`, "UserNamespacesNotSupported", "does not give user namespaces"},
	} {
		got := Admit(n, podOf(t, tt.spec))
		if got == nil {
			got = &Rejection{}
		}
		if got.Reason != tt.reason || !strings.Contains(got.Message, tt.message) {
			t.Errorf("%s: got %+v, want %s: %s", tt.spec, *got, tt.reason, tt.message)
		}
	}
}

func TestResources(t *testing.T) {
	for _, tt := range []struct {
		name, resources            string
		shares, quota, memory, oom int64
		huge                       string
	}{
		{name: "none", resources: `{}`, shares: 2, oom: 1000},
		{name: "request", resources: `{requests: {cpu: 250m, memory: 1Gi}}`, shares: 256, oom: 750},
		{name: "limit stands for the request", resources: `{limits: {cpu: 500m}}`, shares: 512, quota: 50000, oom: 999},
		{name: "guaranteed", resources: `{limits: {cpu: 2, memory: 64Mi}}`, shares: 2048, quota: 200000, memory: 64 << 20, oom: -997},
		{name: "tiny", resources: `{requests: {cpu: 1m}, limits: {cpu: 1m}}`, shares: 2, quota: 1000, oom: 999},
		{name: "huge request", resources: `{requests: {cpu: 1000, memory: 4Gi}}`, shares: 262144, oom: 3},
		{name: "huge pages", resources: `{limits: {cpu: 1, memory: 64Mi, hugepages-2Mi: 4Mi}}`, shares: 1024, quota: 100000, memory: 64 << 20, oom: -997, huge: "2MB 4194304"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := podOf(t, `containers: [{name: main, resources: `+tt.resources+`}]`)
			got, err := Resources(node(), pod, &pod.Spec.Containers[0])
			if err != nil {
				t.Fatal(err)
			}
			want := &runtimeapi.LinuxContainerResources{CpuShares: tt.shares, CpuQuota: tt.quota, MemoryLimitInBytes: tt.memory, OomScoreAdj: tt.oom}
			if tt.quota != 0 {
				want.CpuPeriod = 100000
			}
			if tt.huge != "" {
				want.HugepageLimits = []*runtimeapi.HugepageLimit{{PageSize: "2MB", Limit: 4 << 20}}
			}
			check(t, got.String(), want.String())
		})
	}
}

func TestASidecarOutlivesThoseThatItServes(t *testing.T) {
	pod := podOf(t, `
initContainers: [{name: proxy, restartPolicy: Always, resources: {requests: {memory: 1Mi}}}]
containers: [{name: main, resources: {requests: {memory: 2Gi}}}]`)
	check(t, oomScoreAdj(node(), pod, &pod.Spec.InitContainers[0]), 500)
}

func TestQOS(t *testing.T) {
	for _, tt := range []struct {
		containers string
		want       corev1.PodQOSClass
	}{
		{`[{name: a}]`, "BestEffort"},
		{`[{name: a, resources: {limits: {ephemeral-storage: 1Gi}}}]`, "BestEffort"},
		{`[{name: a, resources: {limits: {cpu: 1}}}]`, "Burstable"},
		{`[{name: a, resources: {limits: {cpu: 1, memory: 1}}}]`, "Guaranteed"},
		{`[{name: a, resources: {limits: {cpu: 1, memory: 1}}}, {name: b}]`, "Burstable"},
		{`[{name: a, resources: {limits: {cpu: 1, memory: 2}, requests: {memory: 1}}}]`, "Burstable"},
	} {
		if got := QOS(podOf(t, "containers: "+tt.containers)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.containers, got, tt.want)
		}
	}
}

func TestCgroupV2Settings(t *testing.T) {
	n := node()
	n.CgroupV2, n.SwapAccounting = true, true
	pod := podOf(t, `containers: [{name: main}]`)
	got, err := Resources(n, pod, &pod.Spec.Containers[0])
	if err != nil {
		t.Fatal(err)
	}
	check(t, got.Unified, map[string]string{"memory.oom.group": "1", "memory.swap.max": "0"})
}

func TestHostname(t *testing.T) {
	long := strings.Repeat("a", 62) + "-bcd"
	for _, tt := range []struct {
		name, pod, spec          string
		hostname, domain, kernel string
		err                      string
	}{
		{name: "pod name", pod: "web", spec: `{}`, hostname: "web", kernel: "web"},
		{name: "own", pod: "web", spec: `{hostname: h}`, hostname: "h", kernel: "h"},
		{name: "cut", pod: long, spec: `{}`, hostname: long[:62], kernel: long[:62]},
		{name: "domain", pod: "web", spec: `{subdomain: db}`, hostname: "web", domain: "db.shop.svc.cluster.local", kernel: "web"},
		{name: "fqdn", pod: "web", spec: `{subdomain: db, setHostnameAsFQDN: true}`,
			hostname: "web", domain: "db.shop.svc.cluster.local", kernel: "web.db.shop.svc.cluster.local"},
		{name: "fqdn without domain", pod: "web", spec: `{setHostnameAsFQDN: true}`, hostname: "web", kernel: "web"},
		{name: "fqdn too long", pod: strings.Repeat("a", 60), spec: `{subdomain: db, setHostnameAsFQDN: true}`, err: "is too long (64 characters is the max"},
		{name: "node's", pod: "web", spec: `{hostNetwork: true}`, hostname: "web"},
		{name: "override", pod: "web", spec: `{hostname: h, subdomain: s, hostnameOverride: a.b.c}`, hostname: "a.b.c", kernel: "a.b.c"},
		{name: "override and fqdn", pod: "web", spec: `{hostnameOverride: a.b.c, setHostnameAsFQDN: true}`, err: "hostnameOverride excludes"},
		{name: "bad label", pod: "web", spec: `{hostname: A_B}`, err: `pod Hostname "A_B" is not a valid DNS label`},
		{name: "bad subdomain", pod: "web", spec: `{subdomain: a.b}`, err: `pod Subdomain "a.b" is not a valid DNS label`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := podOf(t, tt.spec)
			pod.Name = tt.pod
			kernel, err := kernelHostname(node(), pod)
			if tt.err != "" {
				checkError(t, err, tt.err)
				return
			}
			hostname, domain, err2 := Hostname(node(), pod)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			check(t, []string{hostname, domain, kernel}, []string{tt.hostname, tt.domain, tt.kernel})
		})
	}
}

func TestHostsFile(t *testing.T) {
	pod := podOf(t, `{subdomain: db, hostAliases: [{ip: 10.9.9.9, hostnames: [a, b.c]}]}`)
	got, err := HostsFile(node(), pod, []string{"10.1.0.2", "fd00::2"}, []byte("not used"))
	if err != nil {
		t.Fatal(err)
	}
	check(t, string(got), `# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
fe00::0	ip6-mcastprefix
fe00::1	ip6-allnodes
fe00::2	ip6-allrouters
10.1.0.2	web.db.shop.svc.cluster.local	web
fd00::2	web.db.shop.svc.cluster.local	web

# Entries added by HostAliases.
10.9.9.9	a	b.c
`)
	got, err = HostsFile(node(), podOf(t, `{hostNetwork: true}`), nil, []byte("127.0.0.1 node\n"))
	if err != nil {
		t.Fatal(err)
	}
	check(t, string(got), "# Kubernetes-managed hosts file (host network).\n127.0.0.1 node\n")
}

func TestDNS(t *testing.T) {
	cluster := []string{"10.96.0.10"}
	clusterSearches := []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com"}
	many := make([]string, 40)
	for i := range many {
		many[i] = strings.Repeat("x", i+60) + ".com"
	}
	for _, tt := range []struct {
		name, spec string
		cluster    []string
		want       DNS
		err        string
	}{
		{name: "cluster first", spec: `{}`, cluster: cluster, want: DNS{cluster, clusterSearches, []string{"ndots:5"}}},
		{name: "no cluster DNS", spec: `{}`, want: node().HostDNS},
		{name: "host network", spec: `{hostNetwork: true}`, cluster: cluster, want: node().HostDNS},
		{name: "host network, cluster", spec: `{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet}`, cluster: cluster,
			want: DNS{cluster, clusterSearches, []string{"ndots:5"}}},
		{name: "default", spec: `{dnsPolicy: Default}`, cluster: cluster, want: node().HostDNS},
		{name: "none", spec: `{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1], searches: [a.b], options: [{name: ndots, value: "2"}, {name: edns0}]}}`,
			want: DNS{[]string{"1.1.1.1"}, []string{"a.b"}, []string{"ndots:2", "edns0"}}},
		{name: "merge", spec: `{dnsConfig: {nameservers: [10.96.0.10, 1.1.1.1], searches: [example.com, z], options: [{name: ndots, value: "1"}]}}`, cluster: cluster,
			want: DNS{[]string{"10.96.0.10", "1.1.1.1"}, append(slices.Clone(clusterSearches), "z"), []string{"ndots:1"}}},
		{name: "too many servers", spec: `{dnsPolicy: None, dnsConfig: {nameservers: [a, b, c, d]}}`, want: DNS{Servers: []string{"a", "b", "c"}}},
		{name: "too long searches", spec: `{dnsPolicy: None, dnsConfig: {searches: [` + strings.Join(many, ", ") + `]}}`, want: DNS{Searches: many[:26]}},
		{name: "unknown policy", spec: `{dnsPolicy: Magic}`, err: "invalid DNSPolicy=Magic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := node()
			n.ClusterDNS = tt.cluster
			got, err := podDNS(n, podOf(t, tt.spec))
			if tt.err != "" {
				checkError(t, err, tt.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			check(t, got, tt.want)
		})
	}
}

func TestMissingClusterDNSIsSaid(t *testing.T) {
	const want = `pod: "web_shop(1234)". kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`
	for _, tt := range []struct {
		spec    string
		cluster []string
		want    string
	}{
		{`{}`, nil, want},
		{`{dnsPolicy: ClusterFirst}`, nil, want},
		{`{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet}`, nil, want},
		{`{hostNetwork: true}`, nil, ""},
		{`{dnsPolicy: Default}`, nil, ""},
		{`{}`, []string{"10.96.0.10"}, ""},
	} {
		pod := podOf(t, tt.spec)
		pod.Namespace, pod.Name, pod.UID = "shop", "web", "1234"
		check(t, MissingClusterDNS(Node{ClusterDNS: tt.cluster}, pod), tt.want)
	}
}

func TestParseResolvConf(t *testing.T) {
	got, err := ParseResolvConf(strings.NewReader(`# comment
; comment
nameserver 192.0.2.1
nameserver 192.0.2.2 # the second
search a.example b.example.
search c.example .
options ndots:2
options edns0 timeout:1
sortlist 10.0.0.0
`))
	if err != nil {
		t.Fatal(err)
	}
	check(t, got, DNS{[]string{"192.0.2.1", "192.0.2.2"}, []string{"c.example", "."}, []string{"edns0", "timeout:1"}})
	_, err = ParseResolvConf(strings.NewReader("search a\nnameserver\n"))
	checkError(t, err, "line 2")
}
