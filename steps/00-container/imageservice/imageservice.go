// Package imageservice answers the image half of the Container Runtime
// Interface from an image store.
//
// The kubelet asks it whether an image is there, has it pulled with the pod's
// credentials, and removes what the node no longer needs. An image has one id,
// the digest of its config, whatever names lead to it; that id is what the
// kubelet later hands to CreateContainer.
//
// Follows k8s.io/cri-api, pkg/apis/runtime/v1/api.proto, ImageService.
package imageservice

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
)

// A Service serves one store.
type Service struct {
	runtimeapi.UnimplementedImageServiceServer

	store    *image.Store
	handlers []string
	now      func() time.Time
}

var _ runtimeapi.ImageServiceServer = (*Service)(nil)

// New serves store. Handlers are the runtime handlers that a request may name
// beside the default one, which has the empty name.
func New(store *image.Store, handlers ...string) *Service {
	return &Service{store: store, handlers: handlers, now: time.Now}
}

// ListImages lists all images, or the one that the filter names.
func (s *Service) ListImages(_ context.Context, r *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	images, err := s.list(r.GetFilter())
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ListImagesResponse{Images: images}, nil
}

// StreamImages is ListImages for a node with more images than fit a message.
func (s *Service) StreamImages(r *runtimeapi.StreamImagesRequest, stream grpc.ServerStreamingServer[runtimeapi.StreamImagesResponse]) error {
	images, err := s.list(r.GetFilter())
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(images, 100) {
		if err := stream.Send(&runtimeapi.StreamImagesResponse{Images: chunk}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) list(filter *runtimeapi.ImageFilter) ([]*runtimeapi.Image, error) {
	if ref := filter.GetImage().GetImage(); ref != "" {
		img, found, err := s.resolve(ref)
		if err != nil || !found {
			return nil, err
		}
		return []*runtimeapi.Image{describe(img)}, nil
	}
	images, err := s.store.List()
	if err != nil {
		return nil, grpcError(err)
	}
	var out []*runtimeapi.Image
	for _, img := range images {
		out = append(out, describe(img))
	}
	return out, nil
}

func (s *Service) resolve(ref string) (img image.Image, found bool, err error) {
	if ref == "" {
		return img, false, status.Error(codes.InvalidArgument, "the image reference is empty")
	}
	img, err = s.store.Resolve(ref)
	if errors.Is(err, image.ErrNotFound) {
		return img, false, nil
	}
	return img, err == nil, grpcError(err)
}

// ImageStatus describes an image. The response is empty when it is not here.
func (s *Service) ImageStatus(ctx context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	img, found, err := s.resolve(r.GetImage().GetImage())
	if err != nil || !found {
		return &runtimeapi.ImageStatusResponse{}, err
	}
	response := &runtimeapi.ImageStatusResponse{Image: describe(img)}
	if r.GetVerbose() {
		if response.Info, err = s.info(ctx, img); err != nil {
			return nil, grpcError(err)
		}
	}
	return response, nil
}

// info is free-form JSON under "info", which crictl inspecti shows.
func (s *Service) info(ctx context.Context, img image.Image) (map[string]string, error) {
	layers, err := s.store.Layers(ctx, img)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(map[string]any{"imageSpec": img.Config, "layers": layers})
	return map[string]string{"info": string(raw)}, err
}

// PullImage returns the image's id.
func (s *Service) PullImage(ctx context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	if h := r.GetImage().GetRuntimeHandler(); h != "" && !slices.Contains(s.handlers, h) {
		return nil, status.Errorf(codes.InvalidArgument, "pull %s: unknown runtime handler %q", r.GetImage().GetImage(), h)
	}
	auth, err := authenticator(r.GetAuth())
	if err != nil {
		return nil, err
	}
	img, err := s.store.Pull(ctx, r.GetImage().GetImage(), image.PullOptions{Auth: auth})
	if err != nil {
		return nil, grpcError(err)
	}
	return &runtimeapi.PullImageResponse{ImageRef: img.ID}, nil
}

// RemoveImage removes an image under all its names. Removing what is not here
// succeeds. A container that runs from it goes on.
func (s *Service) RemoveImage(ctx context.Context, r *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	img, found, err := s.resolve(r.GetImage().GetImage())
	if err != nil {
		return nil, err
	}
	if found {
		_, err = s.store.Remove(ctx, img.ID)
	}
	if err != nil && !errors.Is(err, image.ErrNotFound) {
		return nil, grpcError(err)
	}
	return &runtimeapi.RemoveImageResponse{}, nil
}

// ImageFsInfo says what the images take on the disk. The kubelet compares it
// with its thresholds for garbage collection.
func (s *Service) ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	usage, err := s.store.Usage()
	if err != nil {
		return nil, grpcError(err)
	}
	fs := &runtimeapi.FilesystemUsage{
		Timestamp:  s.now().UnixNano(),
		FsId:       &runtimeapi.FilesystemIdentifier{Mountpoint: s.store.Dir()},
		UsedBytes:  &runtimeapi.UInt64Value{Value: uint64(usage.Blobs + usage.Layers)},
		InodesUsed: &runtimeapi.UInt64Value{Value: uint64(usage.Inodes)},
	}
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: []*runtimeapi.FilesystemUsage{fs}}, nil
}
