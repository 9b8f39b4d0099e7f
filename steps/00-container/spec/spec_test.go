package spec_test

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/spec"
)

var update = flag.Bool("update", false, "write the golden files again")

func files(path string) ([]byte, error) {
	switch path {
	case "/etc/passwd":
		return []byte("root:x:0:0:root:/root:/bin/sh\n# a comment\nweb:x:1000:1001::/:/bin/sh\nbroken\n"), nil
	case "/etc/group":
		return []byte("root:x:0:\nweb:x:1001:\nteam:x:2000:other,web\nwebmasters:x:3000:webber\n"), nil
	}
	return nil, fs.ErrNotExist
}

func request() spec.Request {
	return spec.Request{
		ID: "ID", Rootfs: "/rootfs", Files: files,
		Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: "app"},
			Linux: &runtimeapi.LinuxContainerConfig{
				Resources:       &runtimeapi.LinuxContainerResources{},
				SecurityContext: &runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER}},
			},
		},
		Image:   v1.Config{Entrypoint: []string{"/bin/app"}, Cmd: []string{"serve"}, Env: []string{"A=image", "B=image"}},
		Sandbox: spec.Sandbox{PausePID: 42, Hostname: "pod", CgroupParent: "/kubepods/podX", ResolvConf: "/run/resolv.conf", HostnameFile: "/run/hostname", Hosts: "/run/hosts", Shm: "/run/shm"},
		Host: spec.Host{
			Capabilities: []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN"},
			CgroupNS:     true, MinOOMScoreAdj: -10, MaxFiles: 1024,
			Devices: func(path string) ([]specs.LinuxDevice, error) {
				return []specs.LinuxDevice{{Path: path, Type: "c", Major: 10, Minor: 229}}, nil
			},
		},
	}
}

// The golden files are what `runtime spec` prints; review their diff as code.
func TestGolden(t *testing.T) {
	for name, change := range map[string]func(*spec.Request){
		"plain":      func(*spec.Request) {},
		"privileged": func(r *spec.Request) { r.Config.Linux.SecurityContext.Privileged = true },
		"limits-v1": func(r *spec.Request) {
			r.Config.Linux.Resources = &runtimeapi.LinuxContainerResources{CpuShares: 512, CpuQuota: 50000, CpuPeriod: 100000, MemoryLimitInBytes: 1 << 20, OomScoreAdj: -998, CpusetCpus: "0"}
			r.Host.Swap = true
		},
		"user-namespace-v2": func(r *spec.Request) { r.Sandbox.UserNS, r.Host.CgroupV2 = true, true },
		"host-namespaces": func(r *spec.Request) {
			r.Sandbox.HostNetwork, r.Sandbox.HostIPC = true, true
			r.Config.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_NODE
		},
		"mounts": func(r *spec.Request) {
			r.Config.Mounts = []*runtimeapi.Mount{
				{HostPath: "/a/deep", ContainerPath: "/data/deep/down", Propagation: runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER},
				{HostPath: "/a", ContainerPath: "/data", Readonly: true, RecursiveReadOnly: true},
				{HostPath: "/hosts", ContainerPath: "/etc/hosts"},
			}
			r.Config.Devices = []*runtimeapi.Device{{HostPath: "/dev/fuse", ContainerPath: "/dev/fuse", Permissions: "rw"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := request()
			change(&r)
			s, err := spec.Generate(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(s, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("differs from %s; if that is right, run go test ./spec -update\n%s", path, got)
			}
		})
	}
}

func TestArgs(t *testing.T) {
	image := v1.Config{Entrypoint: []string{"entry"}, Cmd: []string{"cmd"}}
	for _, test := range []struct {
		name          string
		command, args []string
		image         v1.Config
		want          string
	}{
		{"the image's", nil, nil, image, "entry cmd"},
		{"args", nil, []string{"a"}, image, "entry a"},
		{"command", []string{"c"}, nil, image, "c"},
		{"both", []string{"c"}, []string{"a"}, image, "c a"},
		{"nothing", nil, nil, v1.Config{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := spec.Args(&runtimeapi.ContainerConfig{Command: test.command, Args: test.args}, test.image)
			if strings.Join(got, " ") != test.want || (err != nil) != (test.want == "") {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestResolveUser(t *testing.T) {
	id := func(v int64) *runtimeapi.Int64Value { return &runtimeapi.Int64Value{Value: v} }
	type security = runtimeapi.LinuxContainerSecurityContext
	for _, test := range []struct {
		name     string
		sec      *security
		image    string
		uid, gid uint32
		groups   []uint32
		fails    string
	}{
		{"root by default", nil, "", 0, 0, []uint32{0}, ""},
		{"the image's name", nil, "web", 1000, 1001, []uint32{1001, 2000}, ""},
		{"the image's number is in passwd", nil, "1000", 1000, 1001, []uint32{1001, 2000}, ""},
		{"a number that is not", nil, "4000", 4000, 0, []uint32{0}, ""},
		{"user and group", nil, "web:team", 1000, 2000, []uint32{2000}, ""},
		{"the container's user wins, and takes the image's group away", &security{RunAsUser: id(7)}, "web:team", 7, 0, []uint32{0}, ""},
		{"run_as_group", &security{RunAsUser: id(1000), RunAsGroup: id(9)}, "", 1000, 9, []uint32{9, 2000}, ""},
		{"merge", &security{RunAsUsername: "web", SupplementalGroups: []int64{5, 2000}}, "", 1000, 1001, []uint32{5, 1001, 2000}, ""},
		{"a name with a group", &security{RunAsUsername: "web:team"}, "", 1000, 2000, []uint32{2000}, ""},
		{"a group alone", &security{RunAsUsername: ":team"}, "", 0, 2000, []uint32{2000}, ""},
		{"strict", &security{RunAsUsername: "web", SupplementalGroups: []int64{5}, SupplementalGroupsPolicy: runtimeapi.SupplementalGroupsPolicy_Strict}, "", 1000, 1001, []uint32{5, 1001}, ""},
		{"unknown user", nil, "nobody", 0, 0, nil, `user "nobody": not in the image's /etc/passwd`},
		{"unknown group", nil, "web:nogroup", 0, 0, nil, `group "nogroup": not in the image's /etc/group`},
		{"negative", &security{RunAsUser: id(-1)}, "", 0, 0, nil, "out of range"},
		{"too large", nil, "4294967295", 0, 0, nil, "out of range"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := spec.ResolveUser(test.sec, test.image, files)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("got %v, %v, want an error with %q", got, err, test.fails)
				}
				return
			}
			if err != nil || got.UID != test.uid || got.GID != test.gid || !slices.Equal(got.AdditionalGids, test.groups) {
				t.Errorf("got %v, %v, want %d:%d %v", got, err, test.uid, test.gid, test.groups)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	for _, test := range []struct {
		name       string
		add, drop  []string
		uid        int64
		bound, eff string
	}{
		{"default", nil, nil, 0, "CAP_CHOWN CAP_KILL CAP_NET_RAW", "CAP_CHOWN CAP_KILL CAP_NET_RAW"},
		{"add", []string{"net_admin"}, nil, 0, "CAP_CHOWN CAP_KILL CAP_NET_ADMIN CAP_NET_RAW", "CAP_CHOWN CAP_KILL CAP_NET_ADMIN CAP_NET_RAW"},
		{"drop", nil, []string{"CAP_KILL"}, 0, "CAP_CHOWN CAP_NET_RAW", "CAP_CHOWN CAP_NET_RAW"},
		{"drop all, add one", []string{"CHOWN"}, []string{"ALL"}, 0, "CAP_CHOWN", "CAP_CHOWN"},
		{"add all, drop one", []string{"ALL"}, []string{"SYS_ADMIN"}, 0, "CAP_CHOWN CAP_KILL CAP_NET_ADMIN CAP_NET_RAW", "CAP_CHOWN CAP_KILL CAP_NET_ADMIN CAP_NET_RAW"},
		{"what we do not have we can't give", []string{"SYS_TIME"}, nil, 0, "CAP_CHOWN CAP_KILL CAP_NET_RAW", "CAP_CHOWN CAP_KILL CAP_NET_RAW"},
		{"others than root have them bounding only", nil, nil, 1000, "CAP_CHOWN CAP_KILL CAP_NET_RAW", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := request()
			r.Config.Linux.SecurityContext.Capabilities = &runtimeapi.Capability{AddCapabilities: test.add, DropCapabilities: test.drop}
			r.Config.Linux.SecurityContext.RunAsUser = &runtimeapi.Int64Value{Value: test.uid}
			s, err := spec.Generate(r)
			if err != nil {
				t.Fatal(err)
			}
			c := s.Process.Capabilities
			if got := strings.Join(c.Bounding, " "); got != test.bound {
				t.Errorf("bounding: got %s, want %s", got, test.bound)
			}
			if got := strings.Join(c.Effective, " "); got != test.eff {
				t.Errorf("effective: got %s, want %s", got, test.eff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	profile := func(t runtimeapi.SecurityProfile_ProfileType) *runtimeapi.SecurityProfile {
		return &runtimeapi.SecurityProfile{ProfileType: t, LocalhostRef: "p"}
	}
	for want, change := range map[string]func(*runtimeapi.ContainerConfig){
		"without SELinux": func(c *runtimeapi.ContainerConfig) {
			c.Linux.SecurityContext.SelinuxOptions = &runtimeapi.SELinuxOption{Level: "s0"}
		},
		"without AppArmor": func(c *runtimeapi.ContainerConfig) {
			c.Linux.SecurityContext.Apparmor = profile(runtimeapi.SecurityProfile_Localhost)
		},
		"libseccomp": func(c *runtimeapi.ContainerConfig) {
			c.Linux.SecurityContext.Seccomp = profile(runtimeapi.SecurityProfile_Localhost)
		},
		"without a user": func(c *runtimeapi.ContainerConfig) {
			c.Linux.SecurityContext.RunAsGroup = &runtimeapi.Int64Value{Value: 1}
		},
		`unknown capability "NET-RAW"`: func(c *runtimeapi.ContainerConfig) {
			c.Linux.SecurityContext.Capabilities = &runtimeapi.Capability{AddCapabilities: []string{"ALL", "cap_chown"}, DropCapabilities: []string{"NET-RAW"}}
		},
		"needs readonly": func(c *runtimeapi.ContainerConfig) {
			c.Mounts = []*runtimeapi.Mount{{HostPath: "/a", ContainerPath: "/b", RecursiveReadOnly: true}}
		},
		"both sides": func(c *runtimeapi.ContainerConfig) { c.Mounts = []*runtimeapi.Mount{{ContainerPath: "/b"}} },
		"permissions": func(c *runtimeapi.ContainerConfig) {
			c.Devices = []*runtimeapi.Device{{HostPath: "/dev/x", Permissions: "q"}}
		},
		"mount option": func(c *runtimeapi.ContainerConfig) {
			c.Mounts = []*runtimeapi.Mount{{HostPath: "/a", ContainerPath: "/b", MountOptions: []string{"suid"}}}
		},
	} {
		t.Run(want, func(t *testing.T) {
			r := request()
			change(r.Config)
			if _, err := spec.Generate(r); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error with %q", err, want)
			}
		})
	}
}

func TestInLayers(t *testing.T) {
	base, top := t.TempDir(), t.TempDir()
	write := func(layer, name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(layer, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(layer, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(base, "etc/passwd", "base")
	write(base, "etc/group", "base")
	write(top, "etc/passwd", "top")
	read := spec.InLayers([]string{base, top})
	for path, want := range map[string]string{"/etc/passwd": "top", "/etc/group": "base"} {
		if got, err := read(path); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(top, "etc/shadow")); err != nil {
		t.Fatal(err)
	}
	if got, err := read("/etc/shadow"); err == nil {
		t.Errorf("a link out of the layer was followed: got %q", got)
	}
}
