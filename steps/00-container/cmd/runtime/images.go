package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
)

func (a *app) pull() *cobra.Command {
	var platform string
	c := &cobra.Command{
		Use:   "pull IMAGE...",
		Short: "Get images from a registry",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.withImages(func(c *cobra.Command, store *image.Store, refs []string) error {
			o := image.PullOptions{Progress: progress(os.Stderr)}
			if platform != "" {
				var err error
				if o.Platform, err = v1.ParsePlatform(platform); err != nil {
					return fmt.Errorf("--platform: %w", err)
				}
			}
			for _, ref := range refs {
				img, err := store.Pull(c.Context(), ref, o)
				if err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), img.Name(), img.ID)
			}
			return nil
		}),
	}
	c.Flags().StringVar(&platform, "platform", "", "`OS/ARCH[/VARIANT]` to get, when it is not this machine's")
	return c
}

// progress draws a bar on a terminal, and nothing elsewhere.
func progress(to *os.File) func(image.Progress) {
	if !isTerminal(to) {
		return nil
	}
	const width = 30
	return func(p image.Progress) {
		done := width
		if p.Bytes > 0 {
			done = int(width * min(p.BytesDone, p.Bytes) / p.Bytes)
		}
		fmt.Fprintf(to, "\r%s [%s%s] %d/%d layers, %s of %s ", p.Name, strings.Repeat("#", done), strings.Repeat(".", width-done),
			p.LayersDone, p.Layers, size(p.BytesDone), size(p.Bytes))
		if p.LayersDone == p.Layers {
			fmt.Fprintln(to)
		}
	}
}

func (a *app) images() *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use:   "images",
		Short: "List images, and what sharing their layers saves",
		Args:  cobra.NoArgs,
		RunE: a.withImages(func(c *cobra.Command, store *image.Store, _ []string) error {
			all, damaged := store.List()
			w := table(c)
			if !quiet {
				fmt.Fprintln(w, "IMAGE\tID\tSIZE")
			}
			for _, img := range all {
				if quiet {
					fmt.Fprintln(w, img.ID)
					continue
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", img.Name(), shortImage(img.ID), size(img.Size))
			}
			if err := w.Flush(); err != nil || quiet {
				return errors.Join(err, damaged)
			}
			usage, err := store.Usage()
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "\non disk: %s compressed, %s unpacked; sharing layers saves %s\n",
					size(usage.Blobs), size(usage.Layers), size(usage.Shared))
			}
			return errors.Join(err, damaged)
		}),
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "ids only")
	return c
}

func (a *app) importImages() *cobra.Command {
	return &cobra.Command{
		Use:   "import ARCHIVE [NAME...]",
		Short: "Read images from a tar: an OCI layout or what `docker save` writes",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.withImages(func(c *cobra.Command, store *image.Store, args []string) error {
			imported, err := store.Import(c.Context(), args[0], args[1:]...)
			for _, img := range imported {
				fmt.Fprintln(c.OutOrStdout(), img.Name(), img.ID)
			}
			return err
		}),
	}
}

func (a *app) export() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "export FILE IMAGE...",
		Short: "Write images to a tar",
		Args:  cobra.MinimumNArgs(2),
		RunE: a.withImages(func(c *cobra.Command, store *image.Store, args []string) (err error) {
			temp := args[0] + ".part"
			f, err := os.Create(temp)
			if err != nil {
				return err
			}
			err = errors.Join(store.Export(c.Context(), f, image.Format(format), args[1:]...), f.Close())
			if err != nil {
				return errors.Join(err, os.Remove(temp))
			}
			return os.Rename(temp, args[0])
		}),
	}
	c.Flags().StringVar(&format, "format", string(image.OCIArchive), "`FORMAT`: oci or docker")
	return c
}

func (a *app) rmi() *cobra.Command {
	return &cobra.Command{
		Use:   "rmi IMAGE...",
		Short: "Remove images by name or id",
		Args:  cobra.MinimumNArgs(1),
		RunE: a.withImages(func(c *cobra.Command, store *image.Store, refs []string) (err error) {
			for _, ref := range refs {
				removed, err2 := store.Remove(c.Context(), ref)
				for _, name := range removed {
					fmt.Fprintln(c.OutOrStdout(), name)
				}
				err = errors.Join(err, err2)
			}
			return err
		}),
	}
}

func shortImage(id string) string {
	return strings.TrimPrefix(id, "sha256:")[:12]
}

// size renders bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
