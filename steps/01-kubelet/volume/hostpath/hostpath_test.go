package hostpath

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/volumetest"
)

func TestMain(m *testing.M) { volumetest.Main(m) }

func volumeOf(path string, kind corev1.HostPathType) *corev1.Volume {
	return &corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{
		HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind},
	}}
}

func TestConformance(t *testing.T) {
	volumetest.Run(t, Plugin{}, volumeOf(t.TempDir(), corev1.HostPathDirectory), true)
}

func TestTypes(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Mkdir(at("dir"), 0o755),
		os.WriteFile(at("file"), nil, 0o644),
		os.Symlink("dir", at("link")),
		os.Symlink("nowhere", at("dangling")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	socket, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	for _, tt := range []struct {
		path string
		kind corev1.HostPathType
		err  string
	}{
		{at("none"), "", ""},
		{at("dir"), "Directory", ""},
		{at("link"), "Directory", ""},
		{at("file"), "Directory", "hostPath type check failed: " + at("file") + " is not a directory, it's a File"},
		{at("none"), "Directory", "hostPath type check failed, " + at("none") + " is not a directory, unable to determine its type"},
		{at("dir"), "DirectoryOrCreate", ""},
		{at("new/deep"), "DirectoryOrCreate", ""},
		{at("file"), "DirectoryOrCreate", "is not a directory, it's a File"},
		{at("file"), "File", ""},
		{at("dir"), "File", "is not a file, it's a Directory"},
		{at("newfile"), "FileOrCreate", ""},
		{at("file"), "FileOrCreate", ""},
		{at("no/parent"), "FileOrCreate", "no such file or directory"},
		{at("dangling"), "FileOrCreate", "file exists"},
		{at("socket"), "Socket", ""},
		{at("file"), "Socket", "is not a socket file, it's a File"},
		{"/dev/null", "CharDevice", ""},
		{at("file"), "CharDevice", "is not a character device, it's a File"},
		{"/dev/null", "BlockDevice", "is not a block device, it's a CharDevice"},
		{at("dir"), "Magic", "Magic is an invalid volume type"},
		{at("dir") + "/../file", "", "must not contain '..'"},
		{"relative", "", "must be an absolute path"},
	} {
		t.Run(filepath.Base(tt.path)+" as "+string(tt.kind), func(t *testing.T) {
			got, err := (Plugin{}).SetUp(context.Background(), nil, volumeOf(tt.path, tt.kind), "unused")
			switch {
			case tt.err == "" && (err != nil || got != tt.path):
				t.Errorf("got %s, %v", got, err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
	for _, made := range []string{"new/deep", "newfile"} {
		if _, err := os.Stat(at(made)); err != nil {
			t.Error(err)
		}
	}
}
