package expand

import (
	"strings"
	"testing"
)

var vars = map[string]string{"A": "1", "B": "$(A)", "EMPTY": "", "with.dot": "dot", "D": "$"}

func lookup(name string) (string, bool) {
	v, ok := vars[name]
	return v, ok
}

func TestExpand(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"plain", "plain"},
		{"$(A)", "1"},
		{"x$(A)y$(A)z", "x1y1z"},
		{"$(EMPTY)", ""},
		{"$(with.dot)", "dot"},
		{"$(B)", "$(A)"}, // no second round
		{"$(D)$(D)(A)", "$$(A)"},
		{"$$(A)", "$(A)"},
		{"$$$(A)", "$1"},
		{"$$$$(A)", "$$(A)"},
		{"$$", "$"},
		{"$", "$"},
		{"a$", "a$"},
		{"$A", "$A"},
		{"${A}", "${A}"},
		{"$(NO)", "$(NO)"},
		{"$(A", "$(A"},
		{"$(", "$("},
		{"$()", "$()"},
		{"$((A))", "$((A))"},
		{"$(A$(A)", "$(A$(A)"}, // the name is all up to the first parenthesis
		{")$(A)(", ")1("},
	} {
		if got := Expand(tt.in, lookup); got != tt.want {
			t.Errorf("Expand(%q): got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestStrictNamesTheMissingVariable(t *testing.T) {
	if got, err := Strict("x/$(A)/$$(A)", lookup); err != nil || got != "x/1/$(A)" {
		t.Errorf("got %q, %v", got, err)
	}
	_, err := Strict("$(A)/$(NO)", lookup)
	if want := `missing value for "NO"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "$", "$$", "$(A)", "$$(A)", "$(B", "a$b(c)$(d)$$$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		none := func(string) (string, bool) { return "", false }
		if got := Expand(s, none); !strings.Contains(s, "$$") && got != s {
			t.Errorf("Expand(%q) without variables: got %q", s, got)
		}
		// What has been escaped comes back as it was.
		if got := Expand(strings.ReplaceAll(s, "$", "$$"), lookup); got != s {
			t.Errorf("Expand of escaped %q: got %q", s, got)
		}
	})
}
