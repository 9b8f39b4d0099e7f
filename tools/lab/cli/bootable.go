package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/tools/lab/bootable"
	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
)

func bootableCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bootable IMAGE DISK",
		Short: "Make a container image of the node's store a disk that boots as a machine",
		Long: `bootable flattens the image's layers into one file system, leaves its config in
there, and writes a disk of it. bin/vm/vm boot adds a kernel and a first program,
and runs what the config says: a container is a file system and a config; with a
kernel, it is a machine.`,
		Example: `  lab bootable groundup.local/toolbox:v1 toolbox.qcow2
  bin/vm/vm boot toolbox.qcow2 -- uname -a`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("reading the node's images"); err != nil {
				return err
			}
			dir, err := repo()
			if err != nil {
				return err
			}
			return makeBootable(cmd.Context(), dir, args[0], args[1], newReporter(cmd.OutOrStdout()))
		},
	}
}

// imageStore is where a node's runtime keeps its images.
const imageStore = "/var/lib/groundup/runtime/images"

func makeBootable(ctx context.Context, repo, ref, disk string, r *reporter) error {
	node, err := pick(open(), "")
	if errors.Is(err, cluster.ErrNone) {
		return fmt.Errorf("%w: the image is taken from a node's store", err)
	} else if err != nil {
		return err
	}
	store, err := image.Open(node.Path(imageStore))
	if err != nil {
		return err
	}
	img, err := store.Resolve(ref)
	if err != nil {
		return err
	}
	root, err := os.MkdirTemp(filepath.Dir(disk), ".root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	var layers []string
	if err := r.do("flatten the layers", func() error {
		if layers, err = store.Layers(ctx, img); err != nil {
			return err
		}
		return errors.Join(bootable.Flatten(layers, root), bootable.WriteConfig(img.Config.Config, root))
	}); err != nil {
		return err
	}
	return r.do(fmt.Sprintf("a disk of %d layers", len(layers)), func() error {
		cmd := exec.CommandContext(ctx, filepath.Join(repo, "bin", "vm", "vm"), "disk", root, disk)
		out, err := cmd.CombinedOutput()
		switch {
		case errors.Is(err, os.ErrNotExist):
			return errors.New("the runner of machines is not built: `make vm`")
		case err != nil:
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
}
