package spec

import (
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newDevices lists the device nodes beyond /dev/null and its kin, which every
// container has, and the rules of the device cgroup: nothing but those.
func newDevices(r Request, sec *runtimeapi.LinuxContainerSecurityContext) ([]specs.LinuxDevice, *specs.LinuxResources, error) {
	if sec.GetPrivileged() {
		all := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}
		if r.Sandbox.UserNS {
			return nil, all, nil
		}
		devices, err := r.Host.Devices("/dev")
		return devices, all, err
	}
	var nodes []specs.LinuxDevice
	rules := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	for _, d := range r.Config.GetDevices() {
		access := d.GetPermissions()
		if access == "" || strings.Trim(access, "rwm") != "" {
			return nil, nil, fmt.Errorf("device %s: permissions %q: want some of r, w, m", d.GetHostPath(), access)
		}
		found, err := r.Host.Devices(d.GetHostPath())
		if err != nil {
			return nil, nil, fmt.Errorf("device %s: %w", d.GetHostPath(), err)
		}
		for _, dev := range found {
			dev.Path = firstOf(d.GetContainerPath(), d.GetHostPath()) + strings.TrimPrefix(dev.Path, d.GetHostPath())
			nodes = append(nodes, dev)
			major, minor := dev.Major, dev.Minor
			rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: dev.Type, Major: &major, Minor: &minor, Access: access})
		}
	}
	return nodes, &specs.LinuxResources{Devices: rules}, nil
}
