package criconfig

import (
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestUser(t *testing.T) {
	root, seven := &runtimeapi.Int64Value{}, &runtimeapi.Int64Value{Value: 7}
	for _, tt := range []struct {
		name, pod, container string
		image                *runtimeapi.Image
		id                   *runtimeapi.Int64Value
		username             string
		err                  string
	}{
		{name: "image without user", image: &runtimeapi.Image{}, id: root},
		{name: "image with id", image: &runtimeapi.Image{Uid: seven}, id: seven},
		{name: "image with name", image: &runtimeapi.Image{Username: "web"}, username: "web"},
		{name: "pod", pod: `{runAsUser: 7}`, image: &runtimeapi.Image{Username: "web"}, id: seven},
		{name: "container wins", pod: `{runAsUser: 9}`, container: `{runAsUser: 7}`, image: &runtimeapi.Image{}, id: seven},
		{name: "non root by id", pod: `{runAsNonRoot: true}`, image: &runtimeapi.Image{Uid: seven}, id: seven},
		{name: "non root, image root", pod: `{runAsNonRoot: true}`, image: &runtimeapi.Image{},
			err: `container has runAsNonRoot and image will run as root (pod: "web_shop(1234)", container: main)`},
		{name: "non root, image named", container: `{runAsNonRoot: true}`, image: &runtimeapi.Image{Username: "web"},
			err: `container has runAsNonRoot and image has non-numeric user (web), cannot verify user is non-root (pod: "web_shop(1234)", container: main)`},
		{name: "non root, asked for root", pod: `{runAsNonRoot: true}`, container: `{runAsUser: 0}`, image: &runtimeapi.Image{Uid: seven},
			err: `container's runAsUser breaks non-root policy (pod: "web_shop(1234)", container: main)`},
		{name: "container may be root again", pod: `{runAsNonRoot: true}`, container: `{runAsNonRoot: false}`, image: &runtimeapi.Image{}, id: root},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(podOf(t, spec(tt.pod, tt.container)))
			in.Image = tt.image
			got, err := containerSecurity(in)
			if tt.err != "" {
				checkError(t, err, tt.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			check(t, got.RunAsUser.String(), tt.id.String())
			check(t, got.RunAsUsername, tt.username)
		})
	}
}

func spec(pod, container string) string {
	if pod == "" {
		pod = "{}"
	}
	if container == "" {
		container = "{}"
	}
	return "securityContext: " + pod + "\ncontainers: [{name: main, securityContext: " + container + "}]"
}

func TestSecurityContext(t *testing.T) {
	in := input(podOf(t, spec(
		`{runAsGroup: 5, fsGroup: 6, supplementalGroups: [7], supplementalGroupsPolicy: Strict, seccompProfile: {type: RuntimeDefault}}`,
		`{capabilities: {add: [NET_ADMIN], drop: [ALL]}, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false,
		  seccompProfile: {type: Localhost, localhostProfile: my/profile.json}}`)))
	got, err := containerSecurity(in)
	if err != nil {
		t.Fatal(err)
	}
	want := &runtimeapi.LinuxContainerSecurityContext{
		Capabilities:             &runtimeapi.Capability{AddCapabilities: []string{"NET_ADMIN"}, DropCapabilities: []string{"ALL"}},
		NamespaceOptions:         &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
		RunAsUser:                &runtimeapi.Int64Value{},
		RunAsGroup:               &runtimeapi.Int64Value{Value: 5},
		ReadonlyRootfs:           true,
		SupplementalGroups:       []int64{6, 7},
		SupplementalGroupsPolicy: runtimeapi.SupplementalGroupsPolicy_Strict,
		NoNewPrivs:               true,
		MaskedPaths:              maskedPaths,
		ReadonlyPaths:            readonlyPaths,
		Seccomp: &runtimeapi.SecurityProfile{
			ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: "/var/lib/kubelet/seccomp/my/profile.json",
		},
	}
	check(t, got.String(), want.String())
}

func TestSeccompDefault(t *testing.T) {
	in := input(podOf(t, spec("", "")))
	for defaulted, want := range map[bool]runtimeapi.SecurityProfile_ProfileType{
		false: runtimeapi.SecurityProfile_Unconfined, true: runtimeapi.SecurityProfile_RuntimeDefault,
	} {
		in.Node.SeccompDefault = defaulted
		got, err := containerSecurity(in)
		if err != nil {
			t.Fatal(err)
		}
		check(t, got.Seccomp.ProfileType, want)
	}
}

func TestPrivilegedSeesAllOfProc(t *testing.T) {
	got, err := containerSecurity(input(podOf(t, spec("", `{privileged: true}`))))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Privileged || got.MaskedPaths != nil || got.ReadonlyPaths != nil {
		t.Errorf("got %v", got)
	}
}

func TestSecurityContextRefuses(t *testing.T) {
	for _, tt := range []struct{ container, err string }{
		{`{privileged: true, allowPrivilegeEscalation: false}`, "cannot set allowPrivilegeEscalation to false and privileged to true"},
		{`{procMount: Unmasked}`, "hostUsers must be false if procMount is Unmasked"},
		{`{seccompProfile: {type: Localhost}}`, "localhostProfile must be set if seccompProfile type is Localhost"},
		{`{seccompProfile: {type: Localhost, localhostProfile: ../x}}`, "must be a relative path without '..'"},
		{`{seccompProfile: {type: Localhost, localhostProfile: /x}}`, "must be a relative path without '..'"},
		{`{seccompProfile: {type: Magic}}`, `seccompProfile: unknown type "Magic"`},
		{`{appArmorProfile: {type: RuntimeDefault}}`, "AppArmor is not enabled on the host"},
		{`{seLinuxOptions: {level: s0}}`, "SELinux is not enabled on the host"},
	} {
		_, err := containerSecurity(input(podOf(t, spec("", tt.container))))
		checkError(t, err, tt.err)
	}
}
