package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/spec"
)

// limitOptions are the flags of run and spec about what a container may use.
type limitOptions struct {
	pids, cpuShares          int64
	cpuset                   string
	ulimits, sysctl, devices []string
}

func (o *limitOptions) addFlags(f *pflag.FlagSet) {
	f.Int64Var(&o.pids, "pids-limit", 0, "most processes and threads, a `NUMBER`")
	f.Int64Var(&o.cpuShares, "cpu-shares", 0, "weight against others, a `NUMBER`; 1024 is one CPU's")
	f.StringVar(&o.cpuset, "cpuset-cpus", "", "`CPUS` to run on, such as 0-2,4")
	f.StringArrayVar(&o.ulimits, "ulimit", nil, "`NAME=SOFT[:HARD]`, such as nofile=1024:4096")
	f.StringArrayVar(&o.sysctl, "sysctl", nil, "`KEY=VALUE` in the container's namespaces")
	f.StringArrayVar(&o.devices, "device", nil, "`DEVICE[:PATH[:rwm]]` to use")
}

// annotations carry what the CRI has no fields for.
func (o *limitOptions) annotations() map[string]string {
	out := map[string]string{}
	if o.pids != 0 {
		out[spec.AnnotationPIDs] = strconv.FormatInt(o.pids, 10)
	}
	if len(o.ulimits) > 0 {
		out[spec.AnnotationUlimits] = strings.Join(o.ulimits, ",")
	}
	return out
}

func (o *limitOptions) sysctlMap() (map[string]string, error) {
	out := map[string]string{}
	for _, text := range o.sysctl {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--sysctl %s: want KEY=VALUE", text)
		}
		out[key] = value
	}
	return out, nil
}

func (o *limitOptions) deviceList() (devices []*runtimeapi.Device, err error) {
	for _, text := range o.devices {
		parts := strings.Split(text, ":")
		d := &runtimeapi.Device{HostPath: parts[0], ContainerPath: parts[0], Permissions: "rwm"}
		switch {
		case len(parts) > 3 || parts[0] == "":
			return nil, fmt.Errorf("--device %s: want DEVICE[:PATH[:rwm]]", text)
		case len(parts) == 3:
			d.Permissions = parts[2]
		}
		if len(parts) > 1 {
			d.ContainerPath = parts[1]
		}
		devices = append(devices, d)
	}
	return devices, nil
}
