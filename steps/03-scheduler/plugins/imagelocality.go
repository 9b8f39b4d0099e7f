package plugins

import (
	"strings"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// ImageLocality likes nodes that have the pod's images already, the more so the
// larger they are. An image that few nodes have counts less, or all of its pods
// would be drawn to those few.
type ImageLocality struct{}

// What is to be pulled makes no difference below the first of these, and no
// further difference above the second, for each image.
const (
	smallImage = 23 << 20
	largeImage = 1000 << 20
)

func (ImageLocality) Name() string { return "ImageLocality" }

func (ImageLocality) PreScore(snapshot *framework.Snapshot, pod *framework.Pod, _ []*framework.Node) (framework.Score, *framework.Status) {
	var images localImages
	add := func(reference string) {
		name := withTag(reference)
		images.wanted++
		if n := snapshot.ImageNodes(name); n > 0 {
			images.names = append(images.names, name)
			images.spread = append(images.spread, float64(n)/float64(len(snapshot.Nodes)))
		}
	}
	for i := range pod.Spec.InitContainers {
		add(pod.Spec.InitContainers[i].Image)
	}
	for i := range pod.Spec.Containers {
		add(pod.Spec.Containers[i].Image)
	}
	for i := range pod.Spec.Volumes {
		if source := pod.Spec.Volumes[i].Image; source != nil {
			add(source.Reference)
		}
	}
	if len(images.names) == 0 {
		return nil, nil
	}
	return &images, nil
}

// localImages are those of the pod's images that any node has.
type localImages struct {
	wanted int64
	names  []string
	spread []float64 // the share of nodes that have it
}

func (l *localImages) Score(node *framework.Node) int64 {
	var sum int64
	for i, name := range l.names {
		sum += int64(float64(node.Images[name]) * l.spread[i])
	}
	largest := largeImage * l.wanted
	sum = min(max(sum, smallImage), largest)
	return framework.MaxScore * (sum - smallImage) / (largest - smallImage)
}

// withTag names an image as nodes do, which never leave the tag out.
func withTag(reference string) string {
	if strings.LastIndex(reference, ":") <= strings.LastIndex(reference, "/") {
		return reference + ":latest"
	}
	return reference
}
