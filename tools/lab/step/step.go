// Package step reads what the steps of the repository say of themselves.
//
// A step is a folder under steps/. Its step.yaml holds its one sentence and
// what a node runs at this step; node/ holds files for the root file system of
// every node, as templates; manifests/ holds static pods for the first node;
// cmd/ holds its programs. A step says only what it adds or changes: the rest
// comes from the newest earlier step that has it.
package step

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

// A Step is one step and, merged into it, the earlier ones.
type Step struct {
	Number int    `json:"-"`
	Name   string `json:"-"` // "01-kubelet"
	Dir    string `json:"-"` // its folder

	Title    string `json:"title"`
	Proves   string `json:"proves"`   // the sentence that the step proves
	ReadNext string `json:"readNext"` // the file of the repository to read first

	// Services are the programs that a node's init keeps running. Argument
	// vectors are templates over [Node].
	Services []Service `json:"services"`
	// FailsBefore is the check at which this step's verification fails on the
	// step before it.
	FailsBefore string `json:"failsBefore"`
	// Ready are URLs, templates over [Node], that answer when the node serves:
	// https (with the cluster's certificates) or unix. They are asked in this order;
	// one that is empty is not of that node.
	Ready []string `json:"ready"`
	// Images are imported into every node, by their names in tools/images.
	Images []string `json:"images"`
	// Components are the programs that run as static pods on the first node, each
	// from an image of its own.
	Components []string `json:"components"`
	// Upstream are the programs of upstream's that stand in for a component, by the
	// component's name; their manifest is upstream/COMPONENT.yaml.
	Upstream map[string][]string `json:"upstream"`
	// ControlPlane says that there is an API server: the nodes get kubeconfigs,
	// and the learner kubectl and etcdctl.
	ControlPlane bool `json:"controlPlane"`
	// Cgo names the programs that are linked statically against C.
	Cgo []string `json:"cgo"`

	// earlier holds this step last and all earlier ones before it.
	earlier []string
}

// A Service is a program that a node keeps running.
type Service struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
}

// A Node is what templates know of a node.
type Node struct {
	Name    string
	IP      string
	Gateway string
	PodCIDR string
	First   bool // the node that runs the static pods of manifests/
	// ControlPlane is the address of the first node, where the API server is.
	ControlPlane string
	// Credentials tells one set of the node's certificates and keys from another.
	// A manifest that mentions it is started again when they are renewed.
	Credentials string
	// Images are the images of components, by the component's name.
	Images map[string]string
}

// Image is the image of a component, for its manifest. It changes with the
// component's program.
func (n Node) Image(component string) (string, error) {
	image, ok := n.Images[component]
	if !ok {
		return "", fmt.Errorf("%s is not among the step's components", component)
	}
	return image, nil
}

// List returns the folder names of all steps in order.
func List(repo string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(repo, "steps", "[0-9][0-9]-*", "step.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no steps under %s: is this the groundup repository?", repo)
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Base(filepath.Dir(f))
	}
	slices.Sort(names)
	return names, nil
}

// Parse reads a step number as learners type it: "1", "01", "step-01" or the
// folder's name.
func Parse(s string) (int, error) {
	digits, _, _ := strings.Cut(strings.TrimPrefix(s, "step-"), "-")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a step: give its number, such as 01", s)
	}
	return n, nil
}

// Load reads step n of the repository.
func Load(repo string, n int) (*Step, error) {
	names, err := List(repo)
	if err != nil {
		return nil, err
	}
	s := &Step{Number: -1}
	for _, name := range names {
		number, err := Parse(name)
		if err != nil {
			return nil, err
		}
		if number > n {
			break
		}
		if err := s.merge(repo, name, number); err != nil {
			return nil, err
		}
	}
	if s.Number != n {
		return nil, fmt.Errorf("there is no step %02d: the steps are %s", n, strings.Join(names, ", "))
	}
	return s, nil
}

// merge reads a later step over what earlier ones said.
func (s *Step) merge(repo, name string, number int) error {
	dir := filepath.Join(repo, "steps", name)
	b, err := os.ReadFile(filepath.Join(dir, "step.yaml"))
	if err != nil {
		return err
	}
	images, components, cgo := s.Images, s.Components, s.Cgo
	s.Title, s.Proves, s.ReadNext, s.FailsBefore, s.Images, s.Components, s.Cgo = "", "", "", "", nil, nil, nil
	if err := yaml.UnmarshalStrict(b, s); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, "step.yaml"), err)
	}
	s.Number, s.Name, s.Dir = number, name, dir
	s.Images = union(images, s.Images)
	s.Components = union(components, s.Components)
	s.Cgo = union(cgo, s.Cgo)
	s.earlier = append(s.earlier, dir)
	return nil
}

func union(a, b []string) []string {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

// Binaries maps the name of every program that this step runs on to the folder
// of its main package: that of the newest step that has one.
func (s *Step) Binaries() (map[string]string, error) {
	mains := map[string]string{}
	for _, dir := range s.earlier {
		entries, err := os.ReadDir(filepath.Join(dir, "cmd"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() {
				mains[e.Name()] = filepath.Join(dir, "cmd", e.Name())
			}
		}
	}
	return mains, nil
}

// Files returns the content of every file that the step puts into the root file
// system of a node, by path. A later step's file replaces an earlier one of the
// same name.
func (s *Step) Files(n Node) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, dir := range s.earlier {
		if err := addTree(files, filepath.Join(dir, "node"), "/", n); err != nil {
			return nil, err
		}
		if n.First {
			if err := addTree(files, filepath.Join(dir, "manifests"), "/etc/kubernetes/manifests", n); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// Newest is the path of a file of this step, or of the newest earlier one that has it.
func (s *Step) Newest(file string) (string, error) {
	for _, dir := range slices.Backward(s.earlier) {
		path := filepath.Join(dir, file)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: %w", file, fs.ErrNotExist)
}

// HasManifests says whether there are static pods on the first node.
func (s *Step) HasManifests() bool {
	return slices.ContainsFunc(s.earlier, func(dir string) bool {
		entries, err := os.ReadDir(filepath.Join(dir, "manifests"))
		return err == nil && len(entries) > 0
	})
}

func addTree(files map[string][]byte, dir, target string, n Node) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dir {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if b, err = Expand(path, string(b), n); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.Join(target, rel)] = b
		return nil
	})
}

// Expand fills a template for a node; name is for the error.
func Expand(name, text string, n Node) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, n); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
