package step

import (
	"os"
	"path/filepath"
	"testing"
)

func repository(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for path, content := range files {
		full := filepath.Join(dir, "steps", path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestALaterStepSaysOnlyWhatIsNew(t *testing.T) {
	repo := repository(t, map[string]string{
		"00-a/step.yaml":          "title: A\nservices:\n- {name: one, argv: [/one, '--node={{.Name}}']}\nready: [unix:///a]\ncomponents: [one]\nimages: [web]\ncgo: [shim]\n",
		"00-a/cmd/one/main.go":    "package main",
		"00-a/cmd/shim/main.go":   "package main",
		"00-a/node/etc/conf":      "old {{.IP}}",
		"00-a/node/etc/other":     "other",
		"01-b/step.yaml":          "title: B\nimages: [toolbox]\n",
		"01-b/cmd/one/main.go":    "package main",
		"01-b/node/etc/conf":      "new {{.IP}}",
		"01-b/manifests/web.yaml": "image: {{.Image \"one\"}}",
		"02-c/step.yaml":          "title: C\nservices: []\n",
	})
	s, err := Load(repo, 1)
	if err != nil {
		t.Fatal(err)
	}
	if s.Title != "B" || len(s.Services) != 1 || len(s.Ready) != 1 || len(s.Components) != 1 || len(s.Images) != 2 || len(s.Cgo) != 1 {
		t.Errorf("got %+v", s)
	}
	mains, err := s.Binaries()
	if err != nil || mains["one"] != filepath.Join(repo, "steps/01-b/cmd/one") || mains["shim"] != filepath.Join(repo, "steps/00-a/cmd/shim") {
		t.Errorf("got %v, %v", mains, err)
	}
	if _, err := s.Files(Node{First: true}); err == nil {
		t.Error("a manifest has the image of a component that there is not")
	}
	files, err := s.Files(Node{IP: "10.0.0.1", First: true, Images: map[string]string{"one": "example.com/one:v1"}})
	if err != nil || string(files["/etc/conf"]) != "new 10.0.0.1" || string(files["/etc/other"]) != "other" || string(files["/etc/kubernetes/manifests/web.yaml"]) != "image: example.com/one:v1" {
		t.Errorf("got %s, %v", files, err)
	}
	if files, _ := s.Files(Node{IP: "x"}); files["/etc/kubernetes/manifests/web.yaml"] != nil {
		t.Error("the second node has the first one's manifests")
	}
	if s, err := Load(repo, 2); err != nil || len(s.Services) != 0 {
		t.Errorf("a step that says it has no services has %v, %v", s.Services, err)
	}
	if _, err := Load(repo, 7); err == nil {
		t.Error("a step that does not exist was loaded")
	}
	if _, err := s.Files(Node{}); err != nil {
		t.Error(err)
	}
}

func TestMistakesInStepFilesAreNamed(t *testing.T) {
	if _, err := Load(repository(t, map[string]string{"00-a/step.yaml": "titel: A\n"}), 0); err == nil {
		t.Error("an unknown field was ignored")
	}
	s, err := Load(repository(t, map[string]string{"00-a/step.yaml": "title: A\n", "00-a/node/etc/x": "{{.Nmae}}"}), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Files(Node{}); err == nil {
		t.Error("an unknown word of a template was ignored")
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int
		ok   bool
	}{{"1", 1, true}, {"01", 1, true}, {"step-03", 3, true}, {"03-scheduler", 3, true}, {"x", 0, false}, {"-1", 0, false}, {"", 0, false}} {
		got, err := Parse(c.in)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: got %d, %v", c.in, got, err)
		}
	}
}
