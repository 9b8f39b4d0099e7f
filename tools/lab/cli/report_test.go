package cli

import "testing"

// A line that the terminal would break in two cannot be taken back.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"power on node-1", 80, "power on node-1"},
		{"power on node-1", 15, "power on node-1"},
		{"power on node-1", 5, "power"},
		{"größer", 3, "grö"},
		{"power on node-1", -2, ""},
	} {
		if got := cut(c.text, c.n); got != c.want {
			t.Errorf("%q to %d: got %q, want %q", c.text, c.n, got, c.want)
		}
	}
}
