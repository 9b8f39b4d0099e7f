package tool

import "testing"

func TestMessage(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"open test.go: read-only file system", "test.go: Read-only file system"},
		{"chmod /: operation not permitted", "/: Operation not permitted"},
		{"mkdir a b: file exists", "a b: File exists"},
		{"cannot copy: lstat f: no such file or directory", "cannot copy: f: No such file or directory"},
		{"tmpfs on /mnt: permission denied", "tmpfs on /mnt: Permission denied"},
		{"permission denied", "Permission denied"},
		{"permission denied (are you root?)", "permission denied (are you root?)"},
		{"open the door: nobody answers", "open the door: nobody answers"},
		{"reopen f: input/output error", "reopen f: Input/output error"},
		{"", ""},
	} {
		if got := Message(c.line); got != c.want {
			t.Errorf("%q: got %q, want %q", c.line, got, c.want)
		}
	}
}
