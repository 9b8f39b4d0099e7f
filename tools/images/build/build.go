// Package build makes container images from this repository's own programs,
// with the go command and nothing else: no registry, no Docker, no root.
//
// An image is reproducible: the programs are compiled without paths and times,
// every file carries the same date, and so equal inputs give equal digests.
package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Module is where the programs are.
const Module = "github.com/k8s-groundup/groundup/tools/images"

// A Recipe says what goes into an image.
type Recipe struct {
	Name     string // of the archive: web for web.tar
	Tags     []string
	Files    []File    // the first layer: what images share
	Programs []Program // the second layer
	Extra    []File    // the last layer: what is the image's own
	Config   v1.Config
}

// A Program is a command of this module, and where it goes.
type Program struct {
	Command string // directory below cmd
	Path    string
	Mode    int64  // default 0755
	Applets string // directory for a hard link of each name that `Command --list` prints
}

// A Builder compiles into Cache and writes archives to Out. GOOS is linux;
// GOARCH is the go command's.
type Builder struct {
	Out, Cache string
}

// Image makes the image of a recipe.
func (b *Builder) Image(ctx context.Context, r Recipe) (v1.Image, error) {
	var files []File
	for _, p := range r.Programs {
		more, err := b.program(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", r.Name, err)
		}
		files = append(files, more...)
	}
	arch, err := goEnv(ctx, "GOARCH")
	if err != nil {
		return nil, err
	}
	img, err := assemble(r.Config, arch, r.Files, files, r.Extra)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", r.Name, err)
	}
	return img, nil
}

func (b *Builder) program(ctx context.Context, p Program) ([]File, error) {
	binary, err := b.compile(ctx, p.Command)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	mode := p.Mode
	if mode == 0 {
		mode = 0o755
	}
	files := []File{{Path: p.Path, Mode: mode, Content: content}}
	if p.Applets == "" {
		return files, nil
	}
	list, err := output(exec.CommandContext(ctx, binary, "--list"))
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Fields(list) {
		// Not a symlink: a container may mask /bin/ls and keep its shell.
		files = append(files, File{Path: path.Join(p.Applets, name), Mode: mode, SameAs: p.Path})
	}
	return files, nil
}

// compile leaves the go command to decide whether there is anything to do.
func (b *Builder) compile(ctx context.Context, command string) (string, error) {
	binary, err := filepath.Abs(filepath.Join(b.Cache, command))
	if err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, Module+"/cmd/"+command)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	_, err = output(c)
	return binary, err
}

func goEnv(ctx context.Context, key string) (string, error) {
	v, err := output(exec.CommandContext(ctx, "go", "env", key))
	return strings.TrimSpace(v), err
}

func output(c *exec.Cmd) (string, error) {
	out, err := c.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, failed.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
	}
	return string(out), nil
}

// assemble stacks the layers; empty ones are left out. They are not
// compressed: they never travel, and are unpacked at once.
func assemble(config v1.Config, arch string, layers ...[]File) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range layers {
		if len(files) == 0 {
			continue
		}
		raw, err := archive(files)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, static.NewLayer(raw, types.OCIUncompressedLayer)); err != nil {
			return nil, err
		}
	}
	whole, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	whole = whole.DeepCopy()
	whole.OS, whole.Architecture, whole.Config = "linux", arch, config
	return mutate.ConfigFile(img, whole)
}
