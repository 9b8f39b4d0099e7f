package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ComponentDir is where a component's program is in its image, as in upstream's images.
const ComponentDir = "/usr/local/bin/"

// Component is the recipe of the image that holds one program, built already:
// a member of the control plane. The image is named after the program.
func Component(binary string) (Recipe, error) {
	name := filepath.Base(binary)
	tag, err := ComponentTag(binary)
	if err != nil {
		return Recipe{}, err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return Recipe{}, err
	}
	return Recipe{
		Name: name, Tags: []string{tag},
		Files:  append(mountPoints(), File{Path: "/tmp/", Mode: 0o1777}),
		Extra:  []File{{Path: ComponentDir + name, Mode: 0o755, Content: content}},
		Config: v1.Config{Entrypoint: []string{ComponentDir + name}, Env: []string{searchPath}},
	}, nil
}

// ComponentTag is the name of the image that holds a program. It follows from
// what the program is, so that a manifest that names it changes when the
// program does, and the kubelet starts the new one.
func ComponentTag(binary string) (string, error) {
	f, err := os.Open(binary)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("groundup.local/%s:%s", filepath.Base(binary), hex.EncodeToString(sum.Sum(nil)[:6])), nil
}

// Components writes Out/NAME.tar for each program, and the image's name into
// Out/NAME.ref. An archive that was made of the same program is left as it is.
func (b *Builder) Components(ctx context.Context, binaries []string) error {
	for _, binary := range binaries {
		r, err := Component(binary)
		if err != nil {
			return err
		}
		archive, _, err := b.Write(ctx, r)
		if err != nil {
			return err
		}
		ref := strings.TrimSuffix(archive, ".tar") + ".ref"
		if have, err := os.ReadFile(ref); err == nil && string(have) == r.Tags[0]+"\n" {
			continue
		}
		if err := os.WriteFile(ref, []byte(r.Tags[0]+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}
