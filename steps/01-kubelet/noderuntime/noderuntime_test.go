package noderuntime

import (
	"context"
	"strings"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A statusRuntime answers with what a verbose status has to say.
type statusRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	info map[string]string
}

func (r statusRuntime) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{Info: r.info}, nil
}

func TestLacksSeccomp(t *testing.T) {
	for _, c := range []struct {
		name string
		info map[string]string
		want bool
	}{
		{"has it", map[string]string{"host": `{"seccomp":true,"swap":false}`}, false},
		{"has none", map[string]string{"host": `{"seccomp":false}`}, true},
		{"says nothing", map[string]string{"config": `{}`}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Runtime{RuntimeServiceServer: statusRuntime{info: c.info}}
			got, err := r.LacksSeccomp(t.Context())
			if err != nil || got != c.want {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
	r := Runtime{RuntimeServiceServer: statusRuntime{info: map[string]string{"host": "no JSON"}}}
	if _, err := r.LacksSeccomp(t.Context()); err == nil {
		t.Error("got no error of an answer that can't be read")
	}
}

// A configRuntime answers with its configuration, or as one that knows of none.
type configRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	linux *runtimeapi.LinuxRuntimeConfiguration
}

func (r configRuntime) RuntimeConfig(ctx context.Context, req *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	if r.linux == nil {
		return r.UnimplementedRuntimeServiceServer.RuntimeConfig(ctx, req)
	}
	return &runtimeapi.RuntimeConfigResponse{Linux: r.linux}, nil
}

func TestACgroupDriverThatIsNotOursIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		linux *runtimeapi.LinuxRuntimeConfiguration
		want  string
	}{
		{"cgroupfs", &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: runtimeapi.CgroupDriver_CGROUPFS}, ""},
		{"systemd", &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: runtimeapi.CgroupDriver_SYSTEMD}, "SystemdCgroup = false"},
		{"says nothing", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := sameCgroupDriver(t.Context(), configRuntime{linux: c.linux})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
