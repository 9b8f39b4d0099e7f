package bootable

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Unpack writes the files of a machine's disk, a file system without partitions in
// qcow2 format, as one tar archive. No kernel mounts it: debugfs(8) reads it.
func Unpack(ctx context.Context, disk, archive string) error {
	work, err := os.MkdirTemp(filepath.Dir(archive), "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	raw, root := filepath.Join(work, "raw"), filepath.Join(work, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	for _, argv := range [][]string{
		{"qemu-img", "convert", "-O", "raw", disk, raw},
		{"/sbin/debugfs", "-R", "rdump / " + root, raw},
		{"tar", "-C", root, "--numeric-owner", "--sort=name", "--exclude=./lost+found", "-cf", archive, "."},
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", cmd, err, out)
		}
	}
	return nil
}

// WriteImage writes a container image of one layer in the format of `docker save`,
// which every runtime imports: the OCI image specification's config.md is the
// config, and manifest.json names the parts.
func WriteImage(w io.Writer, name, layer string, c Config) error {
	f, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": c,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum.Sum(nil))}},
	})
	if err != nil {
		return err
	}
	configSum := sha256.Sum256(config)
	configName := hex.EncodeToString(configSum[:]) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, file := range []struct {
		name    string
		content []byte
	}{{"manifest.json", manifest}, {configName, config}} {
		if err := t.WriteHeader(&tar.Header{Name: file.name, Size: int64(len(file.content)), Mode: 0o644}); err != nil {
			return err
		}
		if _, err := t.Write(file.content); err != nil {
			return err
		}
	}
	if err := t.WriteHeader(&tar.Header{Name: "layer.tar", Size: size, Mode: 0o644}); err != nil {
		return err
	}
	if _, err := io.Copy(t, f); err != nil {
		return err
	}
	return t.Close()
}
