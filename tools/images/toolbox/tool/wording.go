package tool

import (
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// Message puts one line of an error into the words of busybox and GNU, which
// scripts look for: the file and then what strerror(3) says, without Go's name
// for the call. "open f: read-only file system" is "f: Read-only file system".
func Message(line string) string {
	at := strings.LastIndex(line, ": ") + len(": ")
	if at < len(": ") {
		at = 0
	}
	if !errnos()[line[at:]] {
		return line
	}
	return calls().ReplaceAllString(line[:at], "$1") + capital(line[at:])
}

// Strerror is an errno in the words of strerror(3).
func Strerror(errno syscall.Errno) string { return capital(errno.Error()) }

// calls are the names that package os gives to its calls, in front of a path.
var calls = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(^|: )(?:open|openat|stat|lstat|statat|fstatat|read|write|close|readdir|readdirent|getdents|readlink|mkdir|mkdirat|remove|unlink|unlinkat|rmdir|` +
		`rename|renameat|link|symlink|chmod|fchmodat|chown|lchown|fchownat|chtimes|utimensat|truncate|ftruncate|seek|chdir|copy_file_range|mknod|statfs) `)
})

// errnos are the texts of all errnos: Go has those of strerror(3), but begins
// them with a small letter.
var errnos = sync.OnceValue(func() map[string]bool {
	texts := map[string]bool{}
	for e := syscall.Errno(1); e < 134; e++ {
		texts[e.Error()] = true
	}
	return texts
})

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
