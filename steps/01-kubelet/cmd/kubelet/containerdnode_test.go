package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criclient"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/nodetest"
)

// A containerd is one of the machine's own make, with everything that it has in a
// directory of its own. It hears of no other containerd, and no other of it.
type containerd struct {
	t      testing.TB
	dir    string
	socket string
	log    *os.File
	cmd    *exec.Cmd
	client *criclient.Client
}

// pauseImage is what a sandbox consists of: a process that waits.
const pauseImage = "test.local/pause:v1"

// The native snapshotter copies, and so goes with any file system below it. To lower
// the score of the out-of-memory killer needs a capability that we may lack.
const containerdConfig = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.internal.v1.opt"] # makes a directory of the machine
[grpc]
  address = "%[1]s/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + pauseImage + `"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  stats_collect_period = 1
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "%[1]s/cni"
    conf_dir = "%[1]s/net.d"
`

// startContainerd starts one that has the images of the tests. After the test it
// must have no pods.
func startContainerd(t testing.TB) *containerd {
	needsRoot(t)
	for _, program := range []string{"containerd", "ctr", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("GROUNDUP_VM_FACTOR") != "" {
				t.Skip("the virtual machine's image has no " + program)
			}
			t.Fatalf("%s is not installed: whether the kubelet works with another runtime than ours is only to be seen with one.\n"+
				"`make deps` installs it; or: apt-get install containerd runc", program)
		}
	}
	c := &containerd{t: t, dir: t.TempDir()}
	c.socket = c.path("sock")
	c.privateRun()
	err := writeCNI(c.path("cni"), c.path("net.d"), c.path("leases"))
	if err == nil {
		err = os.WriteFile(c.path("config.toml"), fmt.Appendf(nil, containerdConfig, c.dir), 0o644)
	}
	if err == nil {
		c.log, err = os.Create(c.path("log"))
	}
	if err != nil {
		t.Fatal(err)
	}
	c.start()
	t.Cleanup(c.stop)
	c.dial()
	c.importImages()
	return c
}

func (c *containerd) start() {
	c.t.Helper()
	c.cmd = exec.Command("containerd", "--config", c.path("config.toml"))
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
}

// kill is kill -9. The shims live on, and the containers with them.
func (c *containerd) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func (c *containerd) dial() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience(30*time.Second))
	defer cancel()
	client, err := criclient.Dial(ctx, "unix://"+c.socket, "", time.Minute, slog.New(slog.DiscardHandler))
	if err != nil {
		c.t.Fatalf("%v\n%s", err, read(c.t, c.log.Name()))
	}
	if c.client != nil {
		err = c.client.Close() // that of the one before
	}
	if c.client = client; err != nil {
		c.t.Fatal(err)
	}
}

func (c *containerd) path(name string) string { return filepath.Join(c.dir, name) }

// privateRun hides the machine's /run/containerd: shims have their sockets there,
// whatever the configuration says.
func (c *containerd) privateRun() {
	c.t.Helper()
	const dir = "/run/containerd"
	made := os.Mkdir(dir, 0o711)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		err := unix.Unmount(dir, unix.MNT_DETACH)
		if made == nil {
			err = errors.Join(err, os.Remove(dir))
		}
		if err != nil {
			c.t.Error(err)
		}
	})
}

// importImages hands it the image of the tests, once as it is and once as that of
// sandboxes, and waits until its CRI has heard of them.
func (c *containerd) importImages() {
	c.t.Helper()
	prog := c.programImage()
	config, err := prog.ConfigFile()
	if err != nil {
		c.t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.Cmd = []string{"linger", "0s"}
	pause, err := mutate.ConfigFile(prog, config)
	if err != nil {
		c.t.Fatal(err)
	}
	archive := c.path("images.tar")
	err = tarball.MultiWriteToFile(archive, map[name.Tag]v1.Image{tag(nodetest.Image): prog, tag(pauseImage): pause})
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := exec.Command("ctr", "--address", c.socket, "--namespace", "k8s.io", "images", "import", "--no-unpack", archive).CombinedOutput()
	if err != nil {
		c.t.Fatalf("import images: %v\n%s", err, text)
	}
	for _, image := range []string{nodetest.Image, pauseImage} {
		for end := time.Now().Add(patience(20 * time.Second)); ; time.Sleep(10 * time.Millisecond) {
			reply, err := c.client.ImageStatus(c.t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: image}})
			if err == nil && reply.Image != nil {
				break
			}
			if time.Now().After(end) {
				c.t.Fatalf("containerd does not know the image %s: %v", image, err)
			}
		}
	}
}

func (c *containerd) programImage() v1.Image {
	c.t.Helper()
	index, err := layout.ImageIndexFromPath(built.Image)
	if err != nil {
		c.t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		c.t.Fatal(err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		c.t.Fatal(err)
	}
	return image
}

func tag(image string) name.Tag {
	t, err := name.NewTag(image)
	if err != nil {
		panic(err) // it is a constant
	}
	return t
}

// stop ends containerd when it has no pods, and fails the test if anything is left.
// What a failed test has left, it removes.
func (c *containerd) stop() {
	if c.client != nil {
		if left := c.ofPods(); len(left) > 0 {
			c.t.Errorf("left in containerd: %q", left)
			c.removePods()
		}
		if err := c.client.Close(); err != nil {
			c.t.Error(err)
		}
	}
	if c.t.Failed() {
		c.t.Logf("containerd's log:\n%s", read(c.t, c.log.Name()))
	}
	_ = c.cmd.Process.Signal(unix.SIGTERM)
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("containerd ended: %v", err)
	}
	if left := append(c.ofSandboxes(), processes(c.dir)...); len(left) > 0 {
		c.t.Errorf("left behind: %q", left)
	}
}

func (c *containerd) removePods() {
	ctx, cancel := context.WithTimeout(context.Background(), patience(30*time.Second))
	defer cancel()
	list, err := c.client.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		c.t.Error(err)
	}
	for _, s := range list.GetItems() {
		_, stopErr := c.client.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: s.Id})
		_, err := c.client.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: s.Id})
		if err := errors.Join(stopErr, err); err != nil {
			c.t.Error(err)
		}
	}
}

// ofPods lists what containerd has of pods, and what their sandboxes are made of.
func (c *containerd) ofPods() []string {
	found := c.ofSandboxes()
	sandboxes, err := c.client.ListPodSandbox(context.Background(), &runtimeapi.ListPodSandboxRequest{})
	for _, s := range sandboxes.GetItems() {
		found = append(found, "sandbox "+s.Id)
	}
	containers, err2 := c.client.ListContainers(context.Background(), &runtimeapi.ListContainersRequest{})
	for _, s := range containers.GetContainers() {
		found = append(found, "container "+s.Id)
	}
	if err := errors.Join(err, err2); err != nil {
		found = append(found, err.Error())
	}
	return found
}

// ofSandboxes lists mounts and network namespaces.
func (c *containerd) ofSandboxes() []string {
	namespaces, _ := filepath.Glob(c.path("state/*/netns/*"))
	return append(mounts(c.dir+"/"), namespaces...)
}
