package imageservice

import (
	"strconv"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
)

func describe(img image.Image) *runtimeapi.Image {
	uid, name := user(img.Config.Config.User)
	return &runtimeapi.Image{
		Id:          img.ID,
		RepoTags:    img.Tags,
		RepoDigests: img.Digests,
		Size:        uint64(img.Size),
		Uid:         uid,
		Username:    name,
		Spec:        &runtimeapi.ImageSpec{Image: img.Name()},
		Pinned:      img.Pinned,
	}
}

// user splits the config's User ("uid", "name", either with ":group") into a
// number or a name. The kubelet needs it for runAsNonRoot: it can't look up a
// name, and refuses it.
func user(u string) (*runtimeapi.Int64Value, string) {
	u, _, _ = strings.Cut(u, ":")
	if uid, err := strconv.ParseInt(u, 10, 64); err == nil {
		return &runtimeapi.Int64Value{Value: uid}, ""
	}
	return nil, u
}
