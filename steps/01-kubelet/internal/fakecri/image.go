package fakecri

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PullImage "downloads" any image whose name starts with registry/; every other
// name is one that no registry has.
func (r *Runtime) PullImage(_ context.Context, req *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	name := req.GetImage().GetImage()
	if err := r.did("PullImage", name); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(name) < 9 || name[:9] != "registry/" {
		return nil, status.Errorf(codes.NotFound, "image %q: not found", name)
	}
	r.images[name] = &runtimeapi.Image{Id: "sha256:" + name, RepoTags: []string{name}, Size: 1 << 20}
	return &runtimeapi.PullImageResponse{ImageRef: "sha256:" + name}, nil
}

func (r *Runtime) ImageStatus(_ context.Context, req *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &runtimeapi.ImageStatusResponse{Image: r.images[req.GetImage().GetImage()]}, nil
}

func (r *Runtime) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	resp := &runtimeapi.ListImagesResponse{}
	for _, image := range r.images {
		resp.Images = append(resp.Images, image)
	}
	return resp, nil
}

func (r *Runtime) RemoveImage(_ context.Context, req *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	name := req.GetImage().GetImage()
	if err := r.did("RemoveImage", name); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, image := range r.images {
		if key == name || image.Id == name {
			delete(r.images, key)
		}
	}
	return &runtimeapi.RemoveImageResponse{}, nil
}
