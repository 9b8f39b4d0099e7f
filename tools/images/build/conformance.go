package build

import (
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Conformance are equivalents of the images that upstream's end-to-end suite 1.37
// pulls for pods, under its names: agnhost is upstream's own program, built from its
// module; the others are our toolbox and web server. See `e2e.test --list-images`.
func Conformance(agnhost string) ([]Recipe, error) {
	program, err := os.ReadFile(agnhost)
	if err != nil {
		return nil, err
	}
	return []Recipe{
		toolbox(Recipe{
			Name: "e2e-agnhost", Tags: []string{e2e + "agnhost:2.66.1", e2e + "agnhost:2.55"},
			Extra:  []File{{Path: "/agnhost", Mode: 0o755, Content: program}, {Path: "/agnhost-2", Mode: 0o755, SameAs: "/agnhost"}},
			Config: v1.Config{Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}, Env: []string{"PATH=/:/bin"}},
		}),
		toolbox(Recipe{
			Name: "e2e-busybox", Tags: []string{e2e + "busybox:1.36.1-1", e2e + "busybox:1.37.0-2"},
			Config: v1.Config{Cmd: []string{"sh"}},
		}),
		{
			Name: "e2e-pause", Tags: []string{"registry.k8s.io/pause:3.10.2"}, Files: mountPoints(),
			Programs: []Program{{Command: "pause", Path: "/pause"}},
			Config:   v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"},
		},
		{
			Name: "e2e-nonewprivs", Tags: []string{e2e + "nonewprivs:1.4"}, Files: base(),
			Programs: []Program{{Command: "nonewprivs", Path: "/nnp", Mode: 0o4755}},
			Config:   v1.Config{Entrypoint: []string{"/nnp"}},
		},
		webserver("e2e-nginx", e2e+"nginx:1.28.0-2", "nginx", "-name", "nginx", "-port", "80"),
		webserver("e2e-nginx-old", e2e+"nginx:1.27.0-2", "nginx", "-name", "nginx", "-port", "80"),
	}, nil
}
