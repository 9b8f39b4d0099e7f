package podsource

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// Tee returns a source that shows see every set that inner reports, before it
// passes it on. The pods belong to the callee of update: see neither changes nor
// keeps them.
func Tee(inner Source, see func([]*corev1.Pod)) Source { return &tee{inner, see} }

type tee struct {
	Source
	see func([]*corev1.Pod)
}

// Run implements [Source].
func (t *tee) Run(ctx context.Context, update func([]*corev1.Pod)) error {
	return t.Source.Run(ctx, func(pods []*corev1.Pod) {
		t.see(pods)
		update(pods)
	})
}
