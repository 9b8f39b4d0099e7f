package build

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// searchPath is what a shell in an image searches.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// mountPoints are what a runtime mounts on. An image that brings them spares
// every container the making of them in its upper layer.
func mountPoints() []File {
	return []File{{Path: "/dev/", Mode: 0o755}, {Path: "/proc/", Mode: 0o555}, {Path: "/sys/", Mode: 0o555}}
}

// base is the layer that web and toolbox share: enough of a file system for
// programs that look up users and make temporary files.
func base() []File {
	return append(mountPoints(), []File{
		{Path: "/etc/passwd", Mode: 0o644, Content: []byte("" +
			"root:x:0:0:root:/root:/bin/sh\n" +
			"www-data:x:33:33:www-data:/var/www:/bin/false\n" +
			"app:x:1000:1000:app:/home/app:/bin/sh\n" +
			"nobody:x:65534:65534:nobody:/:/bin/false\n")},
		{Path: "/etc/group", Mode: 0o644, Content: []byte("" +
			"root:x:0:\n" +
			"www-data:x:33:\n" +
			"app:x:1000:\n" +
			"nogroup:x:65534:\n")},
		{Path: "/etc/nsswitch.conf", Mode: 0o644, Content: []byte("hosts: files dns\n")},
		{Path: "/tmp/", Mode: 0o1777},
		{Path: "/var/tmp/", Mode: 0o1777},
		{Path: "/run/", Mode: 0o755},
		{Path: "/var/run", Link: "../run"},
		{Path: "/root/", Mode: 0o700},
		{Path: "/home/app/", Mode: 0o755, UID: 1000, GID: 1000},
		{Path: "/var/www/", Mode: 0o755},
	}...)
}

func toolbox(r Recipe) Recipe {
	r.Files = base()
	r.Programs = append(r.Programs, Program{Command: "toolbox", Path: "/bin/toolbox", Applets: "/bin"})
	r.Config.Env = append(r.Config.Env, searchPath)
	return r
}

// Labs are the images that the labs run.
func Labs() []Recipe {
	return []Recipe{
		{
			Name: "pause", Tags: []string{"groundup.local/pause:v1"},
			Files:    mountPoints(),
			Programs: []Program{{Command: "pause", Path: "/pause"}},
			Config:   v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"},
		},
		{
			Name: "web", Tags: []string{"groundup.local/web:v1"},
			Files:    base(),
			Programs: []Program{{Command: "web", Path: "/bin/web"}},
			Config: v1.Config{
				Entrypoint: []string{"/bin/web"}, Env: []string{searchPath},
				ExposedPorts: map[string]struct{}{"8080/tcp": {}},
			},
		},
		toolbox(Recipe{
			Name: "toolbox", Tags: []string{"groundup.local/toolbox:v1"},
			Config: v1.Config{Cmd: []string{"/bin/sh"}},
		}),
	}
}
