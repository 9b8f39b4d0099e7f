package plugins

import (
	"slices"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// scale brings scores, none of them negative, to the scale from 0 to MaxScore
// by making the highest of them MaxScore. If all are 0 they stay so.
func scale(scores []int64) {
	highest := slices.Max(scores)
	if highest == 0 {
		return
	}
	for i := range scores {
		scores[i] = framework.MaxScore * scores[i] / highest
	}
}
