package image

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// bootModules are what the root disk and the cable to the host need. ext4 and
// the serial port are built into Debian's cloud kernel.
var bootModules = []string{"virtio_pci", "virtio_blk", "virtio_console"}

// writeInitrd writes an archive of /init and of the modules that it loads before
// there is a root: /modules/00-name.ko in their order.
func writeInitrd(to string, init []byte, modules string) error {
	dep, err := os.Open(filepath.Join(modules, "modules.dep"))
	if err != nil {
		return err
	}
	defer dep.Close()
	needs, err := parseDep(dep)
	if err != nil {
		return err
	}
	files, err := loadOrder(needs, bootModules)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	c := &cpioWriter{w: f}
	for _, dir := range []string{"dev", "proc", "root", "modules"} {
		c.entry(dir, modeDir|0o755, nil)
	}
	c.entry("init", modeFile|0o755, init)
	for i, file := range files {
		data, err := os.ReadFile(filepath.Join(modules, file))
		if err != nil {
			return err
		}
		c.entry(fmt.Sprintf("modules/%02d-%s", i, path.Base(file)), modeFile|0o644, data)
	}
	if err := c.close(); err != nil {
		return err
	}
	return f.Close()
}

// parseDep reads modules.dep(5): each module's file, and the files that it needs.
func parseDep(r io.Reader) (map[string][]string, error) {
	needs := map[string][]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		file, rest, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			return nil, fmt.Errorf("modules.dep: cannot read line %q", lines.Text())
		}
		needs[file] = strings.Fields(rest)
	}
	return needs, lines.Err()
}

// loadOrder returns the files of the modules with all that they need, each after
// its own needs.
func loadOrder(needs map[string][]string, modules []string) ([]string, error) {
	var order []string
	var add func(file string)
	add = func(file string) {
		if slices.Contains(order, file) {
			return
		}
		for _, need := range needs[file] {
			add(need)
		}
		order = append(order, file)
	}
	for _, m := range modules {
		file := find(needs, m)
		if file == "" {
			return nil, fmt.Errorf("the kernel has no module %s: loading it is how a machine finds its disk", m)
		}
		add(file)
	}
	return order, nil
}

func find(needs map[string][]string, module string) string {
	for file := range needs {
		if path.Base(file) == module+".ko" {
			return file
		}
	}
	return ""
}
