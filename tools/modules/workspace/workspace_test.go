package workspace

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReachIsTransitive(t *testing.T) {
	all := []Module{{Dir: "steps/00-a"}, {Dir: "steps/01-b", Imports: []string{"steps/00-a"}}, {Dir: "steps/02-c", Imports: []string{"steps/01-b"}}}
	if got, want := Reach(all, "steps/02-c"), []string{"steps/00-a", "steps/01-b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: replace lines are not inherited", got, want)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		module Module
		want   string
	}{
		{"an earlier step", Module{Dir: "steps/01-b", Imports: []string{"steps/00-a"}}, ""},
		{"a later step", Module{Dir: "steps/00-a", Imports: []string{"steps/01-b"}}, "earlier steps only"},
		{"a tool", Module{Dir: "steps/01-b", Imports: []string{"tools/lab"}}, "earlier steps only"},
		{"a tool may import any step", Module{Dir: "tools/lab", Imports: []string{"steps/09-z"}}, ""},
	} {
		err := Check([]Module{c.module})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestRewrite(t *testing.T) {
	const before = "module github.com/k8s-groundup/groundup/steps/02-c\n\ngo 1.26.0\n\nrequire (\n\texample.com/x v1.0.0\n\tgithub.com/k8s-groundup/groundup/steps/09-gone v0.0.0\n)\n\nreplace github.com/k8s-groundup/groundup/steps/09-gone => ../09-gone\n"
	b, err := Rewrite("steps/02-c", []byte(before), []string{"steps/01-b"}, []string{"steps/00-a", "steps/01-b"})
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, want := range []string{"example.com/x v1.0.0", "steps/01-b v0.0.0\n", "steps/00-a => ../00-a", "steps/01-b => ../01-b"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "steps/00-a v0.0.0") {
		t.Errorf("requires a module of which it may need no package:\n%s", got)
	}
	if strings.Contains(got, "gone") {
		t.Errorf("keeps a module that is not imported:\n%s", got)
	}
	again, err := Rewrite("steps/02-c", b, []string{"steps/01-b"}, []string{"steps/00-a", "steps/01-b"})
	if err != nil || string(again) != got {
		t.Errorf("a second time it changes again: %v\n%s", err, again)
	}
}

func TestLoadFindsAStepThatGoWorkForgot(t *testing.T) {
	repo := t.TempDir()
	for path, content := range map[string]string{"go.work": "go 1.26.0\n\nuse ./steps/00-a\n", "steps/00-a/go.mod": "module x\n", "steps/01-b/go.mod": "module y\n"} {
		full := filepath.Join(repo, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(repo); err == nil || !strings.Contains(err.Error(), "steps/01-b") {
		t.Errorf("got %v, want that steps/01-b is missing", err)
	}
}
