package rows_test

import (
	"encoding/json"
	"testing"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
)

// FuzzRows sends anything that can be decoded, new and in the place of anything
// else, and expects an answer: whatever a client sends must not end the server.
func FuzzRows(f *testing.F) {
	all := rows.All()
	for i, r := range all {
		for _, v := range verdicts(f, r.Name) {
			f.Add(uint8(i), []byte(v.Object), []byte(v.Old))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, object, before []byte) {
		r := all[int(which)%len(all)]
		obj, old := attempt(&r, object), attempt(&r, before)
		if obj == nil || r.Validate == nil {
			return
		}
		send(&r, &r.Strategy, obj.DeepCopyObject().(resource.Object), nil)
		if old == nil {
			return
		}
		send(&r, &r.Strategy, obj.DeepCopyObject().(resource.Object), old)
		for _, s := range r.Subresources {
			if s.Update != nil {
				send(&r, s.Update, obj.DeepCopyObject().(resource.Object), old.DeepCopyObject().(resource.Object))
			}
		}
	})
}

func attempt(r *resource.Resource, data []byte) resource.Object {
	obj := r.New()
	if json.Unmarshal(data, obj) != nil {
		return nil
	}
	if r.Default != nil {
		r.Default(obj)
	}
	return obj
}

// send asks everything of the row that the server would ask.
func send(r *resource.Resource, s *resource.Strategy, obj, old resource.Object) {
	if errs := apply(s, obj, old); len(errs) == 0 && s.Warnings != nil {
		s.Warnings(obj, old)
	}
	if r.Cells != nil {
		r.Cells(obj)
	}
	if r.Fields != nil {
		r.Fields(obj)
	}
	if r.GracePeriod != nil {
		r.GracePeriod(obj, nil)
	}
}
