package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/overlay"
)

// hold finds an image and keeps it for a holder; its layers are on disk then.
func (s *Service) hold(ctx context.Context, holder, ref string) (image.Image, []string, error) {
	img, err := s.conf.Images.Resolve(ref)
	if err != nil {
		return img, nil, fmt.Errorf("image %q: %w", ref, err)
	}
	if err := s.conf.Images.Hold(ctx, holder, img); err != nil {
		return img, nil, err
	}
	layers, err := s.conf.Images.Layers(ctx, img)
	return img, layers, err
}

// A container holds its image under its id, and images that it mounts as
// volumes under its id with a number.
func volumeHolder(id string, i int) string { return id + "-volume-" + strconv.Itoa(i) }

// maxVolumes is more images than one container mounts.
const maxVolumes = 64

func (s *Service) releaseImages(id string) error {
	err := s.conf.Images.Release(id)
	for i := range maxVolumes {
		err = errors.Join(err, s.conf.Images.Release(volumeHolder(id, i)))
	}
	return err
}

// imageRef is what a pod's status shows as imageID: where the image came
// from, if that is known.
func imageRef(img image.Image) string {
	if len(img.Digests) > 0 {
		return img.Digests[0]
	}
	return img.ID
}

func imageTag(img image.Image) string {
	if len(img.Tags) > 0 {
		return img.Tags[0]
	}
	return ""
}

// mountImages mounts the images that the container asks for as volumes, and
// returns the config with their places as host paths.
func (s *Service) mountImages(ctx context.Context, id, run string, config *runtimeapi.ContainerConfig) (*runtimeapi.ContainerConfig, error) {
	config = proto.CloneOf(config)
	for i, m := range config.GetMounts() {
		ref := m.GetImage().GetImage()
		if ref == "" {
			continue
		}
		if m.GetHostPath() != "" || i >= maxVolumes {
			return nil, fmt.Errorf("%w: mount at %s has an image and a host path", errInvalid, m.GetContainerPath())
		}
		_, layers, err := s.hold(ctx, volumeHolder(id, i), ref)
		if err != nil {
			return nil, err
		}
		at := filepath.Join(run, "volumes", strconv.Itoa(i))
		if err := os.MkdirAll(at, 0o711); err != nil {
			return nil, err
		}
		if err := (overlay.Rootfs{Lower: layers}).Mount(at, run); err != nil {
			return nil, err
		}
		if m.HostPath, err = inside(at, m.GetImageSubPath()); err != nil {
			return nil, fmt.Errorf("image %s: %w", ref, err)
		}
		m.Readonly = true
	}
	return config, nil
}

// inside resolves a path in a directory that a stranger has filled.
func inside(dir, sub string) (string, error) {
	if sub == "" {
		return dir, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := root.Open(sub)
	if err != nil {
		return "", fmt.Errorf("sub path %q: %w", sub, err)
	}
	defer f.Close()
	// What os.Root has found, without the links on the way.
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}
