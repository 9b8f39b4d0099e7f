package criconfig

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/expand"
)

// mounts are the container's volumes, and the files that every container gets.
func mounts(in Input, env *variables) ([]*runtimeapi.Mount, error) {
	if devices := in.Container.VolumeDevices; len(devices) > 0 {
		return nil, fmt.Errorf("container %q: volumeDevices are not supported (%q)", in.Container.Name, devices[0].Name)
	}
	ids, err := idMapping(in.Node, in.Pod)
	if err != nil {
		return nil, err
	}
	var out []*runtimeapi.Mount
	for i := range in.Container.VolumeMounts {
		m, err := volumeMount(in, i, env)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	if in.HostsFile != "" && ManagesHosts(in.Container) {
		out = append(out, &runtimeapi.Mount{ContainerPath: hostsPath, HostPath: in.HostsFile})
	}
	if p := in.Container.TerminationMessagePath; p != "" && in.TerminationLog != "" {
		out = append(out, &runtimeapi.Mount{ContainerPath: p, HostPath: in.TerminationLog})
	}
	for _, m := range out {
		m.UidMappings, m.GidMappings = ids, ids
	}
	return out, nil
}

func volumeMount(in Input, index int, env *variables) (*runtimeapi.Mount, error) {
	vm := &in.Container.VolumeMounts[index]
	mounted, ok := in.Volumes[vm.Name]
	if !ok {
		return nil, fmt.Errorf("cannot find volume %q to mount into container %q", vm.Name, in.Container.Name)
	}
	m := &runtimeapi.Mount{
		ContainerPath: path.Join("/", vm.MountPath),
		HostPath:      mounted.Path,
		Readonly:      vm.ReadOnly || mounted.ReadOnly,
		MountOptions:  vm.BindMountOptions,
	}
	wrap := func(err error) error {
		return fmt.Errorf("volumeMount %q of container %q: %w", vm.Name, in.Container.Name, err)
	}
	subPath, err := subPathOf(vm, env)
	if err != nil {
		return nil, wrap(err)
	}
	if subPath != "" {
		if in.SubPath == nil {
			return nil, wrap(fmt.Errorf("subPath %q: there are no subPaths here", subPath))
		}
		if m.HostPath, err = in.SubPath(index, vm.Name, subPath); err != nil {
			return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", vm.Name, in.Container.Name, err)
		}
	}
	if m.Propagation, err = propagation(in, vm); err != nil {
		return nil, wrap(err)
	}
	if m.RecursiveReadOnly, err = recursiveReadOnly(in.Node, vm); err != nil {
		return nil, wrap(err)
	}
	if i := slices.IndexFunc(vm.BindMountOptions, unknownOption); i >= 0 {
		return nil, wrap(fmt.Errorf("bindMountOptions: %q: want noexec, nodev or nosuid", vm.BindMountOptions[i]))
	}
	return m, nil
}

func unknownOption(o string) bool { return o != "noexec" && o != "nodev" && o != "nosuid" }

// subPathOf is the part of the volume that is mounted; "" is all of it.
func subPathOf(vm *corev1.VolumeMount, env *variables) (string, error) {
	subPath := vm.SubPath
	if vm.SubPathExpr != "" {
		if subPath != "" {
			return "", fmt.Errorf("subPath and subPathExpr are mutually exclusive")
		}
		var err error
		if subPath, err = expand.Strict(vm.SubPathExpr, env.lookup); err != nil {
			return "", fmt.Errorf("subPathExpr `%s`: %w", vm.SubPathExpr, err)
		}
	}
	if filepath.IsAbs(subPath) {
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", subPath)
	}
	if slices.Contains(strings.Split(filepath.ToSlash(subPath), "/"), "..") {
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", subPath)
	}
	return subPath, nil
}

func propagation(in Input, vm *corev1.VolumeMount) (runtimeapi.MountPropagation, error) {
	mode := corev1.MountPropagationNone
	if vm.MountPropagation != nil {
		mode = *vm.MountPropagation
	}
	switch mode {
	case corev1.MountPropagationNone:
		return runtimeapi.MountPropagation_PROPAGATION_PRIVATE, nil
	case corev1.MountPropagationHostToContainer:
		return runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER, nil
	case corev1.MountPropagationBidirectional:
		if sc := in.Container.SecurityContext; sc == nil || !isTrue(sc.Privileged) {
			return 0, fmt.Errorf("mountPropagation: Bidirectional mount propagation is available only to privileged containers")
		}
		return runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL, nil
	}
	return 0, fmt.Errorf("mountPropagation: unknown mode %q", mode)
}

// recursiveReadOnly: a plain read-only mount does not cover the mounts below it.
func recursiveReadOnly(node Node, vm *corev1.VolumeMount) (bool, error) {
	mode := corev1.RecursiveReadOnlyDisabled
	if vm.RecursiveReadOnly != nil {
		mode = *vm.RecursiveReadOnly
	}
	if mode == corev1.RecursiveReadOnlyDisabled {
		return false, nil
	}
	if !vm.ReadOnly {
		return false, fmt.Errorf("recursiveReadOnly requires readOnly")
	}
	if vm.MountPropagation != nil && *vm.MountPropagation != corev1.MountPropagationNone {
		return false, fmt.Errorf("recursiveReadOnly requires mountPropagation None")
	}
	switch mode {
	case corev1.RecursiveReadOnlyIfPossible:
		return node.RecursiveReadOnly, nil
	case corev1.RecursiveReadOnlyEnabled:
		if !node.RecursiveReadOnly {
			return false, fmt.Errorf("recursiveReadOnly is not supported by the runtime (requires Linux >= 5.12)")
		}
		return true, nil
	}
	return false, fmt.Errorf("recursiveReadOnly: unknown mode %q", mode)
}
