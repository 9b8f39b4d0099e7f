// Package workspace keeps the modules of the repository in order.
//
// Every step is a module of its own and may import earlier steps only. As
// replace lines are not inherited, each go.mod lists every module of the
// repository that it reaches, with its folder. Nobody writes those lines by
// hand: they follow from the imports.
package workspace

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
)

// Prefix begins the path of every module of the repository.
const Prefix = "github.com/k8s-groundup/groundup/"

// A Module is a folder with a go.mod.
type Module struct {
	Dir     string   // below the repository, with slashes: "steps/02-apiserver"
	Imports []string // the Dirs of the modules that its packages import, itself excluded
}

// Load finds the modules that go.work names and reads their imports.
func Load(repo string) ([]Module, error) {
	b, err := os.ReadFile(filepath.Join(repo, "go.work"))
	if err != nil {
		return nil, err
	}
	work, err := modfile.ParseWork("go.work", b, nil)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, use := range work.Use {
		dirs = append(dirs, filepath.ToSlash(filepath.Clean(use.Path)))
	}
	if err := complete(repo, dirs); err != nil {
		return nil, err
	}
	var all []Module
	for _, dir := range dirs {
		imports, err := imports(repo, dir, dirs)
		if err != nil {
			return nil, err
		}
		all = append(all, Module{Dir: dir, Imports: imports})
	}
	return all, nil
}

// complete fails when a step is missing from go.work: it would be tested by
// nobody.
func complete(repo string, dirs []string) error {
	found, err := filepath.Glob(filepath.Join(repo, "steps", "*", "go.mod"))
	if err != nil {
		return err
	}
	for _, f := range found {
		dir := "steps/" + filepath.Base(filepath.Dir(f))
		if !slices.Contains(dirs, dir) {
			return fmt.Errorf("go.work has no use line for %s", dir)
		}
	}
	return nil
}

func imports(repo, dir string, dirs []string) ([]string, error) {
	set := map[string]bool{}
	root := filepath.Join(repo, dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root {
			if d.Name() == "testdata" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				return fs.SkipDir // a module of its own
			}
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			rest, ours := strings.CutPrefix(p, Prefix)
			if !ours || rest == dir || strings.HasPrefix(rest, dir+"/") {
				continue
			}
			k := slices.IndexFunc(dirs, func(d string) bool { return rest == d || strings.HasPrefix(rest, d+"/") })
			if k < 0 {
				return fmt.Errorf("%s imports %s, which is in no module of go.work", path, p)
			}
			set[dirs[k]] = true
		}
		return nil
	})
	return slices.Sorted(maps.Keys(set)), err
}

// Check says which module breaks the order of the steps: a step imports earlier
// steps and nothing else of the repository.
func Check(all []Module) error {
	for _, m := range all {
		if !strings.HasPrefix(m.Dir, "steps/") {
			continue
		}
		for _, i := range m.Imports {
			if !strings.HasPrefix(i, "steps/") || i >= m.Dir {
				return fmt.Errorf("%s imports %s: a step builds on earlier steps only", m.Dir, i)
			}
		}
	}
	return nil
}

// Reach returns every module that dir depends on, directly or not, in order.
func Reach(all []Module, dir string) []string {
	set := map[string]bool{}
	var visit func(string)
	visit = func(d string) {
		for _, m := range all {
			if m.Dir != d {
				continue
			}
			for _, i := range m.Imports {
				if !set[i] {
					set[i] = true
					visit(i)
				}
			}
		}
	}
	visit(dir)
	return slices.Sorted(maps.Keys(set))
}

// version stands for a module of this repository in a require line.
const version = "v0.0.0"

// Rewrite returns the go.mod with replace lines for exactly the modules in reach
// and require lines for those of them that it imports itself, the direct ones;
// all else is as it was. Whether a module that is reached through others needs a
// require line as well follows from packages: that is for `go mod tidy` to say.
func Rewrite(dir string, gomod []byte, direct, reach []string) ([]byte, error) {
	f, err := modfile.Parse(dir+"/go.mod", gomod, nil)
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Clone(f.Require) {
		if rest, ours := strings.CutPrefix(r.Mod.Path, Prefix); ours && !slices.Contains(reach, rest) {
			if err := f.DropRequire(r.Mod.Path); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range slices.Clone(f.Replace) {
		if rest, ours := strings.CutPrefix(r.Old.Path, Prefix); ours && !slices.Contains(reach, rest) {
			if err := f.DropReplace(r.Old.Path, r.Old.Version); err != nil {
				return nil, err
			}
		}
	}
	for _, d := range reach {
		if slices.Contains(direct, d) {
			if err := require(f, Prefix+d); err != nil {
				return nil, err
			}
		}
		folder, err := filepath.Rel(dir, d)
		if err != nil {
			return nil, err
		}
		if err := f.AddReplace(Prefix+d, "", filepath.ToSlash(folder), ""); err != nil {
			return nil, err
		}
	}
	f.Cleanup()
	return f.Format()
}

func require(f *modfile.File, path string) error {
	for _, r := range f.Require {
		if r.Mod.Path == path && r.Mod.Version == version && !r.Indirect {
			return nil
		}
	}
	if err := f.DropRequire(path); err != nil {
		return err
	}
	f.AddNewRequire(path, version, false)
	return nil
}
