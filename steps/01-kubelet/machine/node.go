package machine

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/cgroup"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/userns"
)

// Node puts together what pods are told about the node: what the configuration
// says, and what the machine is like. The allocator gives ids to pods with users of
// their own.
func Node(conf *config.Configuration, flags config.Flags) (criconfig.Node, *userns.Allocator, error) {
	n := criconfig.Node{
		RootDir: flags.RootDir, PodLogsDir: conf.PodLogsDir,
		ClusterDomain: conf.ClusterDomain, ClusterDNS: conf.ClusterDNS,
		SeccompDefault: *conf.SeccompDefault, AllowedUnsafeSysctls: conf.AllowedUnsafeSysctls,
		CPUCFSQuota: *conf.CPUCFSQuota, CPUCFSQuotaPeriod: conf.CPUCFSQuotaPeriod.Microseconds(),
		CgroupV2: cgroup.Version2(),
	}
	if !n.CgroupV2 && *conf.FailCgroupV1 {
		return n, nil, fmt.Errorf("this machine has cgroup v1 and failCgroupV1 is true: boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false")
	}
	f := Probe("kubepods")
	n.AppArmor, n.SELinux, n.SwapAccounting, n.RecursiveReadOnly = f.AppArmor, f.SELinux, f.SwapAccounting, f.RecursiveReadOnly
	var err error
	if n.Name, err = flags.Hostname(); err != nil {
		return n, nil, err
	}
	if n.IPs, err = addresses(flags); err != nil {
		return n, nil, err
	}
	if n.Capacity, err = Capacity(conf.MaxPods); err != nil {
		return n, nil, err
	}
	if n.Allocatable, err = Allocatable(n.Capacity, conf.SystemReserved, conf.KubeReserved); err != nil {
		return n, nil, err
	}
	if n.HostDNS, err = resolver(*conf.ResolverConfig); err != nil {
		return n, nil, err
	}
	ids, err := userns.New(filepath.Join(flags.RootDir, "pods"), int(conf.MaxPods))
	if err != nil {
		return n, nil, fmt.Errorf("ids for pods with users of their own: %w", err)
	}
	n.IDRange = ids.Get
	return n, ids, nil
}

func addresses(flags config.Flags) ([]netip.Addr, error) {
	given, err := flags.Addresses()
	if err != nil || len(given) > 0 {
		return given, err
	}
	return Addresses()
}

func resolver(file string) (criconfig.DNS, error) {
	f, err := ResolvConf(file)
	if err != nil {
		return criconfig.DNS{}, fmt.Errorf("the node's resolver: %w", err)
	}
	defer f.Close()
	dns, err := criconfig.ParseResolvConf(f)
	if err != nil {
		return dns, fmt.Errorf("the node's resolver: %s: %w", file, err)
	}
	return dns, nil
}
