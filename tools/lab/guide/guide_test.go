package guide

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const text = "# Guide\n\n```go source=a/a.go#T.M\nold\n```\n\nThen\n\n```sh\necho 12\n```\n\n```output\n7\n```\nend\n"

func TestQuoteAndRecord(t *testing.T) {
	repo := t.TempDir()
	if err := os.MkdirAll(filepath.Join(repo, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	const src = "package a\n\ntype T struct{}\n\n// M does.\nfunc (t *T) M() {\n}\n\nfunc F() {}\n"
	if err := os.WriteFile(filepath.Join(repo, "a/a.go"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	g, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.String(); got != text {
		t.Errorf("parsing changed the text:\n%s", got)
	}
	if n, err := g.Quote(repo); n != 1 || err != nil {
		t.Errorf("quoted %d, %v", n, err)
	}
	if !strings.Contains(g.String(), "#T.M\n// M does.\nfunc (t *T) M() {\n}\n```") {
		t.Errorf("not quoted:\n%s", g)
	}
	// 12 is like 7: the text stays. Words are not like numbers.
	before := g.String()
	if n, err := g.Record(func(string) (string, error) { return "12\n", nil }); n != 1 || err != nil || g.String() != before {
		t.Errorf("ran %d, %v:\n%s", n, err, g)
	}
	if _, err := g.Record(func(string) (string, error) { return "twelve", nil }); err != nil || !strings.Contains(g.String(), "```output\ntwelve\n```") {
		t.Errorf("%v:\n%s", err, g)
	}
	if _, err := g.Record(func(string) (string, error) { return "", errors.New("boom") }); err == nil {
		t.Error("a command that fails was recorded")
	}
	gone, err := Parse("```go source=a/a.go#Gone\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Quote(repo); err == nil || !strings.Contains(err.Error(), "declares no Gone") {
		t.Errorf("got %v, want that Gone is gone", err)
	}
}

func TestAlike(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"pid 12", "pid 4711", true},
		{"10.244.1.2 up 3 ms", "10.244.1.14  up 1.2 s", true},
		{"id 0a1b2c3d4e", "id ffffffff00", true},
		{"uid 8f6a1c1e-77aa-4bbb-8ccc-0123456789ab", "uid 00000000-0000-0000-0000-000000000000", true},
		{"eth0 ═══ vethab12cd", "eth0 ═══ veth99ffee", true},
		{"Running", "Pending", false},
		{"one\ntwo", "one", false},
	} {
		if got := Alike(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: got %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(text)
	f.Add("```")
	f.Fuzz(func(t *testing.T, s string) {
		g, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(g.String())
		if err != nil || again.String() != g.String() {
			t.Errorf("%q: writing and reading again gives another text: %v", s, err)
		}
	})
}
