package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const dep = `kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
`

func TestWhoWaitsForAnImageCanBeInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, interrupt)
	if _, err := lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	unlock()
	unlock, err = lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestModulesComeAfterTheirNeeds(t *testing.T) {
	needs, err := parseDep(strings.NewReader(dep))
	if err != nil {
		t.Fatal(err)
	}
	got, err := loadOrder(needs, []string{"virtio_pci", "virtio_blk"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i] = filepath.Base(got[i])
	}
	want := []string{"virtio.ko", "virtio_ring.ko", "virtio_pci.ko", "virtio_blk.ko"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := loadOrder(needs, []string{"virtio_net"}); err == nil {
		t.Error("a module that the kernel has not: got no error")
	}
}

func TestModulesDepIsRefusedWhenItIsNone(t *testing.T) {
	if _, err := parseDep(strings.NewReader("kernel/a.ko\n")); err == nil {
		t.Error("got no error")
	}
}

// The judge of the format is cpio(1), where it is installed.
func TestArchiveIsReadByCpio(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("there is no cpio here; the boot test lets the kernel judge")
	}
	var b bytes.Buffer
	c := &cpioWriter{w: &b}
	c.entry("dev", modeDir|0o755, nil)
	c.entry("init", modeFile|0o755, []byte("hello"))
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cpio, "-idm", "--quiet")
	cmd.Dir, cmd.Stdin = t.TempDir(), &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(cmd.Dir, "init"))
	if err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v, want hello", got, err)
	}
	if info, err := os.Stat(filepath.Join(cmd.Dir, "init")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("got %v, %v, want mode 755", info, err)
	}
}

func TestArchiveIsAligned(t *testing.T) {
	for size := range 9 {
		var b bytes.Buffer
		c := &cpioWriter{w: &b}
		c.entry("name", modeFile, make([]byte, size))
		if err := c.close(); err != nil || b.Len()%4 != 0 {
			t.Errorf("a file of %d bytes: got an archive of %d, %v, want a multiple of 4", size, b.Len(), err)
		}
	}
}

func TestOnceLeavesAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	broken := errors.New("broken")
	err := once(path, func(tmp string) error {
		os.WriteFile(tmp, []byte("half"), 0o600)
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("got %v left, want nothing", left)
	}
	calls := 0
	for range 2 {
		if err := once(path, func(tmp string) error { calls++; return os.WriteFile(tmp, []byte("whole"), 0o600) }); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 1 {
		t.Errorf("got it made %d times, want once", calls)
	}
}

func TestPruneKeepsWhatIsInUse(t *testing.T) {
	b := Builder{Cache: t.TempDir()}
	for _, dir := range []string{"base-old/initrd-old", "base-new/initrd-old", "base-new/initrd-new", "failures/x"} {
		if err := os.MkdirAll(filepath.Join(b.Cache, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.prune(filepath.Join(b.Cache, "base-new"), filepath.Join(b.Cache, "base-new/initrd-new")); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(b.Cache + "/*/*")
	want := []string{b.Cache + "/base-new/initrd-new", b.Cache + "/failures/x"}
	if !slices.Equal(left, want) {
		t.Errorf("got %v, want %v", left, want)
	}
}
