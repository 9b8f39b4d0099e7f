package gc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"
)

// Images is the part of the CRI's image service that the collector needs.
type Images interface {
	ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error)
	RemoveImage(context.Context, *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error)
	ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error)
}

// Containers lists the containers, whose images are in use.
type Containers interface {
	ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error)
}

// An ImageCollector removes images that no container uses: those unused for
// longer than MaxAge, and, when the disk that holds them is used to High percent
// or more, the longest unused ones until it is used to Low percent. An image
// that came less than MinAge ago stays. Its exported fields are set before use.
//
// When an image was used last is only known since the kubelet was started.
type ImageCollector struct {
	Images     Images
	Containers Containers
	MinAge     time.Duration
	MaxAge     time.Duration // 0: no limit
	High, Low  int           // percent; High 100 switches it off
	Log        *slog.Logger

	// Disk returns the size of the file system at a path and what is free of
	// it, in bytes; nil asks the kernel.
	Disk func(path string) (capacity, available int64, err error)

	seen map[string]*use // by image ID
}

// NewImageCollector returns the collector that the configuration asks for.
func NewImageCollector(conf *config.Configuration, images Images, containers Containers, log *slog.Logger) *ImageCollector {
	return &ImageCollector{Images: images, Containers: containers, Log: log,
		MinAge: conf.ImageMinimumGCAge.Duration, MaxAge: conf.ImageMaximumGCAge.Duration,
		High: int(*conf.ImageGCHighThresholdPercent), Low: int(*conf.ImageGCLowThresholdPercent)}
}

// A use is when an image was seen first and used last.
type use struct{ first, last time.Time }

// Collect collects once. It must not be called concurrently.
func (c *ImageCollector) Collect(ctx context.Context) error {
	images, used, err := c.look(ctx)
	if err != nil {
		return fmt.Errorf("collect images: %w", err)
	}
	now := time.Now()
	c.remember(images, used, now)
	excess, err := c.excess(ctx)
	if err != nil {
		return fmt.Errorf("collect images: %w", err)
	}
	var errs []error
	freed := int64(0)
	for _, image := range c.candidates(images, used, now) {
		expired := c.MaxAge > 0 && now.Sub(c.seen[image.Id].last) > c.MaxAge
		if !expired && freed >= excess {
			continue
		}
		if _, err := c.Images.RemoveImage(ctx, &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: image.Id}}); err != nil {
			errs = append(errs, fmt.Errorf("remove image %s: %w", image.Id, err))
			continue
		}
		c.Log.Info("removed an unused image", "image", image.Id, "tags", image.RepoTags, "bytes", image.Size)
		delete(c.seen, image.Id) // should it be pulled again, it is new
		freed += int64(image.Size)
	}
	if freed < excess {
		errs = append(errs, fmt.Errorf("freed %d bytes of image storage and needed %d: the disk is filled by something else", freed, excess))
	}
	return errors.Join(errs...)
}

// look returns the images there are and the IDs and names of those in use.
func (c *ImageCollector) look(ctx context.Context) ([]*runtimeapi.Image, map[string]bool, error) {
	images, err := c.Images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return nil, nil, err
	}
	containers, err := c.Containers.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return nil, nil, err
	}
	used := map[string]bool{}
	for _, k := range containers.Containers {
		for _, name := range []string{k.ImageId, k.ImageRef, k.GetImage().GetImage()} {
			if name != "" {
				used[name] = true
			}
		}
	}
	return images.Images, used, nil
}

func inUse(image *runtimeapi.Image, used map[string]bool) bool {
	return used[image.Id] || slices.ContainsFunc(image.RepoTags, func(s string) bool { return used[s] }) ||
		slices.ContainsFunc(image.RepoDigests, func(s string) bool { return used[s] })
}

func (c *ImageCollector) remember(images []*runtimeapi.Image, used map[string]bool, now time.Time) {
	seen := map[string]*use{}
	for _, image := range images {
		u := c.seen[image.Id]
		if u == nil {
			u = &use{first: now, last: now}
		}
		if inUse(image, used) {
			u.last = now
		}
		seen[image.Id] = u
	}
	c.seen = seen
}

// candidates returns the images that may go, the longest unused first.
func (c *ImageCollector) candidates(images []*runtimeapi.Image, used map[string]bool, now time.Time) []*runtimeapi.Image {
	var all []*runtimeapi.Image
	for _, image := range images {
		if !image.Pinned && !inUse(image, used) && now.Sub(c.seen[image.Id].first) >= c.MinAge {
			all = append(all, image)
		}
	}
	slices.SortFunc(all, func(a, b *runtimeapi.Image) int {
		x, y := c.seen[a.Id], c.seen[b.Id]
		return cmp.Or(x.last.Compare(y.last), x.first.Compare(y.first), cmp.Compare(a.Id, b.Id))
	})
	return all
}

// excess returns how many bytes have to be freed.
func (c *ImageCollector) excess(ctx context.Context) (int64, error) {
	info, err := c.Images.ImageFsInfo(ctx, &runtimeapi.ImageFsInfoRequest{})
	if err != nil {
		return 0, err
	}
	if len(info.ImageFilesystems) == 0 {
		return 0, errors.New("the runtime does not say where images are")
	}
	disk := c.Disk
	if disk == nil {
		disk = statfs
	}
	capacity, available, err := disk(info.ImageFilesystems[0].GetFsId().GetMountpoint())
	if err != nil || capacity == 0 {
		return 0, err
	}
	if percent := 100 - available*100/capacity; c.High >= 100 || percent < int64(c.High) {
		return 0, nil
	}
	return capacity*int64(100-c.Low)/100 - available, nil
}

func statfs(path string) (capacity, available int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, fmt.Errorf("measure %s: %w", path, err)
	}
	return int64(s.Blocks) * s.Bsize, int64(s.Bavail) * s.Bsize, nil
}
