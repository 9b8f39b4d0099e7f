package build

import (
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Where critest looks for its images: pkg/validate/consts.go and
// pkg/framework/util.go of sigs.k8s.io/cri-tools v1.36.0.
const (
	e2e     = "registry.k8s.io/e2e-test-images/"
	staging = "gcr.io/k8s-staging-cri-tools/"
)

// Critest are equivalents of the images that critest pulls, under the names it
// pulls them by. One can't be had: test-image-digest is asked for by a digest
// that only the original has.
func Critest() []Recipe {
	recipes := []Recipe{
		toolbox(Recipe{
			Name: "critest-busybox", Tags: []string{e2e + "busybox:1.29-2"},
			Config: v1.Config{Cmd: []string{"sh"}},
		}),
		// critest looks for a process named nginx whose command line has the
		// words "master process", and for its pid file.
		webserver("critest-nginx", e2e+"nginx:1.14-2", "nginx", "-name", "nginx: master process", "-port", "80", "-pid-file", "/var/run/nginx.pid"),
		webserver("critest-hostnet-nginx", staging+"hostnet-nginx-"+runtime.GOARCH+":latest", "nginx", "-name", "nginx", "-port", "12003"),
		webserver("critest-httpd", e2e+"httpd:2.4.39-4", "httpd", "-name", "httpd", "-port", "80"),
		{
			Name: "critest-nonewprivs", Tags: []string{e2e + "nonewprivs:1.3"}, Files: base(),
			Programs: []Program{{Command: "nonewprivs", Path: "/nnp", Mode: 0o4755}},
			Config:   v1.Config{Entrypoint: []string{"/nnp"}},
		},
		{
			Name: "critest-pause", Tags: []string{"registry.k8s.io/pause:3.9", "k8s.gcr.io/pause:3.9"},
			Programs: []Program{{Command: "pause", Path: "/pause"}},
			Config:   v1.Config{Entrypoint: []string{"/pause"}},
		},
		predefinedGroup(),
		marker("latest", staging+"test-image-latest:latest"),
		marker("tag", staging+"test-image-tag:test"),
		marker("all", staging+"test-image-tag:all"),
		marker("tags", staging+"test-image-tags:1", staging+"test-image-tags:2", staging+"test-image-tags:3"),
	}
	for _, n := range []string{"1", "2", "3"} {
		recipes = append(recipes, marker(n, staging+"test-image-"+n+":latest"))
	}
	for _, u := range [][2]string{
		{"uid", "1002"}, {"username", "www-data"}, {"uid-group", "1003:users"}, {"username-group", "www-data:100"},
	} {
		r := marker("user-"+u[0], staging+"test-image-user-"+u[0]+":latest")
		r.Config.User = u[1]
		recipes = append(recipes, r)
	}
	return recipes
}

// webserver is web under another name, beside the toolbox that critest runs
// commands of.
func webserver(name, tag, program string, args ...string) Recipe {
	path := "/usr/sbin/" + program
	return toolbox(Recipe{
		Name: name, Tags: []string{tag},
		Programs: []Program{{Command: "web", Path: path}},
		Config:   v1.Config{Entrypoint: append([]string{path}, args...)},
	})
}

// predefinedGroup has a user who is in a group by the image's /etc/group.
func predefinedGroup() Recipe {
	return toolbox(Recipe{
		Name: "critest-predefined-group", Tags: []string{staging + "test-image-predefined-group:latest"},
		Extra: []File{
			{Path: "/etc/passwd", Mode: 0o644, Content: []byte("root:x:0:0:root:/root:/bin/sh\ndefault-user:x:1000:1000::/home/default-user:/bin/sh\n")},
			{Path: "/etc/group", Mode: 0o644, Content: []byte("root:x:0:\ndefault-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n")},
		},
		Config: v1.Config{Cmd: []string{"sh"}, User: "1000"},
	})
}

// marker is an image that only has to differ from the others.
func marker(name string, tags ...string) Recipe {
	return toolbox(Recipe{
		Name: "critest-image-" + name, Tags: tags,
		Extra:  []File{{Path: "/" + name, Mode: 0o644, Content: []byte(name + "\n")}},
		Config: v1.Config{Cmd: []string{"sh"}},
	})
}
