package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("unpacking layers needs root: it sets owners and makes whiteouts")
	}
}

var stamp = time.Unix(1_600_000_000, 0)

// Short spellings for the entries of a test's archive.
func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: stamp,
		PAXRecords: map[string]string{"TEST.content": content}}
}
func dir(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o750, Uid: 7, Gid: 8, ModTime: stamp}
}
func symlink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, ModTime: stamp}
}
func hardLink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to, ModTime: stamp}
}
func special(kind byte, name string) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Mode: 0o600, Devmajor: 1, Devminor: 3, ModTime: stamp}
}

func archive(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := h.PAXRecords["TEST.content"]
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func digest(b []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(b))}
}

func digests(b []byte) Digests { return Digests{Blob: digest(b), Diff: digest(b)} }

func unpack(t testing.TB, limits Limits, entries ...tar.Header) (string, Usage, error) {
	t.Helper()
	needRoot(t)
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	b := archive(t, entries...)
	usage, err := Unpack(context.Background(), bytes.NewReader(b), digests(b), root, limits)
	return root, usage, err
}

// describe lists a tree, one line for each entry: what overlayfs will see.
func describe(t *testing.T, root string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		name, _ := filepath.Rel(root, p)
		lines = append(lines, name+" "+describeOne(t, p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func describeOne(t *testing.T, p string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		t.Fatal(err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		return fmt.Sprintf("whiteout %d", st.Rdev)
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFLNK:
		to, _ := os.Readlink(p)
		return "-> " + to
	case unix.S_IFDIR:
		opaque := make([]byte, 1)
		if n, err := unix.Lgetxattr(p, "trusted.overlay.opaque", opaque); err == nil && n == 1 {
			return "opaque"
		}
		return "dir"
	}
	content, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%q x%d", content, st.Nlink)
}

func TestUnpack(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []tar.Header
		want    []string
	}{
		{"files and links",
			[]tar.Header{dir("d"), file("d/f", "1"), hardLink("d/g", "d/f"), symlink("l", "/abs"), special(tar.TypeFifo, "p")},
			[]string{"d dir", `d/f "1" x2`, `d/g "1" x2`, "l -> /abs", "p fifo"}},
		{"missing parents are made", []tar.Header{file("a/b/c", "1")}, []string{"a dir", "a/b dir", `a/b/c "1" x1`}},
		{"absolute name means the layer's root", []tar.Header{file("/etc/f", "1")}, []string{"etc dir", `etc/f "1" x1`}},
		{"later entry replaces", []tar.Header{file("f", "1"), file("f", "2")}, []string{`f "2" x1`}},
		{"file replaces directory", []tar.Header{dir("d"), file("d/f", "1"), file("d", "2")}, []string{`d "2" x1`}},
		{"directory replaces link", []tar.Header{symlink("d", "e"), dir("e"), dir("d"), file("d/f", "1")},
			[]string{"d dir", `d/f "1" x1`, "e dir"}},
		{"through a link in the layer", []tar.Header{dir("usr/lib"), symlink("lib", "usr/lib"), file("lib/f", "1")},
			[]string{"lib -> usr/lib", "usr dir", "usr/lib dir", `usr/lib/f "1" x1`}},
		{"whiteout", []tar.Header{file("d/.wh.gone", "")}, []string{"d dir", "d/gone whiteout 0"}},
		{"opaque", []tar.Header{dir("d"), file("d/.wh..wh..opq", ""), file("d/f", "1")}, []string{"d opaque", `d/f "1" x1`}},
		{"whiteout beside a file of this layer", []tar.Header{file("f", "1"), file(".wh.f", "")}, []string{`f "1" x1`}},
		{"file after its whiteout", []tar.Header{file(".wh.f", ""), file("f", "1")}, []string{`f "1" x1`}},
		{"whiteout beside a directory", []tar.Header{dir("d"), file(".wh.d", "")}, []string{"d opaque"}},
		{"directory after its whiteout", []tar.Header{file(".wh.d", ""), dir("d")}, []string{"d opaque"}},
		{"implied directory after its whiteout", []tar.Header{file(".wh.d", ""), file("d/f", "1")}, []string{"d opaque", `d/f "1" x1`}},
		{"records of AUFS", []tar.Header{dir(".wh..wh.plnk"), file(".wh..wh.aufs", "")}, nil},
		{"global header", []tar.Header{{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"comment": "c"}}, file("f", "1")},
			[]string{`f "1" x1`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, _, err := unpack(t, DefaultLimits, c.entries...)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := describe(t, root), strings.Join(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	small := Limits{Bytes: 8192, Entries: 3, Path: 20, Ratio: 100}
	for _, c := range []struct {
		name    string
		entries []tar.Header
		limits  Limits
		want    error
	}{
		{"dot dot", []tar.Header{file("../f", "1")}, DefaultLimits, ErrUnsafePath},
		{"dot dot inside", []tar.Header{dir("d"), file("d/../f", "1")}, DefaultLimits, ErrUnsafePath},
		{"through a link out of the root", []tar.Header{symlink("up", ".."), file("up/f", "1")}, DefaultLimits, ErrUnsafePath},
		{"through an absolute link", []tar.Header{symlink("abs", "/tmp"), file("abs/f", "1")}, DefaultLimits, ErrUnsafePath},
		{"through a chain of links", []tar.Header{dir("a"), symlink("a/b", "../.."), symlink("c", "a/b"), file("c/f", "1")}, DefaultLimits, ErrUnsafePath},
		{"through a dangling link", []tar.Header{symlink("l", "nowhere"), file("l/f", "1")}, DefaultLimits, ErrUnsafePath},
		{"through a file", []tar.Header{file("f", "1"), file("f/g", "1")}, DefaultLimits, ErrUnsafePath},
		{"through a link to itself", []tar.Header{symlink("l", "l"), file("l/f", "1")}, DefaultLimits, unix.ELOOP},
		{"hard link out of the root", []tar.Header{hardLink("h", "../../etc/passwd")}, DefaultLimits, ErrUnsafePath},
		{"hard link through a link", []tar.Header{symlink("l", "/etc"), hardLink("h", "l/passwd")}, DefaultLimits, ErrUnsafePath},
		{"hard link to what is not in the layer", []tar.Header{hardLink("h", "etc/passwd")}, DefaultLimits, unix.ENOENT},
		{"whiteout of dot dot", []tar.Header{file("d/.wh...", "")}, DefaultLimits, ErrUnsafePath},
		{"whiteout of nothing", []tar.Header{file(".wh.", "")}, DefaultLimits, ErrUnsafePath},
		{"root as a link", []tar.Header{symlink("./", "/")}, DefaultLimits, ErrUnsafePath},
		{"character device", []tar.Header{special(tar.TypeChar, "null")}, DefaultLimits, ErrDevice},
		{"block device", []tar.Header{special(tar.TypeBlock, "sda")}, DefaultLimits, ErrDevice},
		{"too many bytes", []tar.Header{file("f", strings.Repeat("x", 9000))}, small, ErrTooLarge},
		{"too many entries", []tar.Header{dir("a"), dir("b"), dir("c"), dir("d")}, small, ErrTooLarge},
		{"too long a path", []tar.Header{dir(strings.Repeat("d/", 20))}, small, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := unpack(t, c.limits, c.entries...); !errors.Is(err, c.want) {
				t.Errorf("got %v; want %v", err, c.want)
			}
		})
	}
}

func TestSymlinkItselfIsNeverFollowed(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(outside, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, _, err := unpack(t, DefaultLimits, symlink("l", outside), file("l", "evil"))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(outside); string(got) != "untouched" {
		t.Errorf("the file outside is now %q", got)
	}
	if got := describe(t, root); got != `l "evil" x1` {
		t.Errorf("got %s", got)
	}
}

func TestMetadata(t *testing.T) {
	h := file("d/ping", "1")
	h.Mode, h.Uid, h.Gid = 0o4755, 12, 34
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	h.PAXRecords[paxXattr+"security.capability"] = capability
	h.PAXRecords[paxXattr+"trusted.overlay.redirect"] = "/etc"
	root, usage, err := unpack(t, DefaultLimits, dir("d"), h, symlink("d/l", "x"))
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	p := filepath.Join(root, "d/ping")
	if err := unix.Lstat(p, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode&0o7777 != 0o4755 || st.Uid != 12 || st.Gid != 34 || st.Mtim.Sec != stamp.Unix() {
		t.Errorf("got mode %o, owner %d:%d, time %d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec)
	}
	value := make([]byte, 64)
	n, err := unix.Lgetxattr(p, "security.capability", value)
	if err != nil || string(value[:n]) != capability {
		t.Errorf("got capability %q, %v", value[:max(n, 0)], err)
	}
	if _, err := unix.Lgetxattr(p, "trusted.overlay.redirect", value); err != unix.ENODATA {
		t.Errorf("an attribute that steers overlayfs was taken over: %v", err)
	}
	if err := unix.Lstat(filepath.Dir(p), &st); err != nil || st.Mtim.Sec != stamp.Unix() || st.Uid != 7 {
		t.Errorf("got directory time %d, owner %d, %v", st.Mtim.Sec, st.Uid, err)
	}
	if usage != (Usage{Bytes: 1, Inodes: 3}) {
		t.Errorf("got usage %+v", usage)
	}
}

func compress(t *testing.T, how string, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	default:
		return plain
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCompressionAndDigests(t *testing.T) {
	needRoot(t)
	plain := append(archive(t, file("f", "content")), make([]byte, 4096)...) // padding belongs to the diff id
	for _, how := range []string{"none", "gzip", "zstd"} {
		blob := compress(t, how, plain)
		right := Digests{Blob: digest(blob), Diff: digest(plain)}
		if _, err := Unpack(t.Context(), bytes.NewReader(blob), right, t.TempDir(), DefaultLimits); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		for name, wrong := range map[string]Digests{
			"blob":    {Blob: digest([]byte("other")), Diff: right.Diff},
			"diff id": {Blob: right.Blob, Diff: digest([]byte("other"))},
		} {
			if _, err := Unpack(t.Context(), bytes.NewReader(blob), wrong, t.TempDir(), DefaultLimits); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, wrong %s: got %v; want ErrCorrupt", how, name, err)
			}
		}
		if _, err := Unpack(t.Context(), bytes.NewReader(blob[:len(blob)/2]), right, t.TempDir(), DefaultLimits); err == nil {
			t.Errorf("%s: half a blob was accepted", how)
		}
	}
}

func TestBombIsDefused(t *testing.T) {
	needRoot(t)
	for _, how := range []string{"gzip", "zstd"} {
		blob := compress(t, how, append(archive(t, dir("d")), make([]byte, 3*ratioFloor/2)...))
		_, err := Unpack(t.Context(), bytes.NewReader(blob), Digests{}, t.TempDir(), Limits{Bytes: 1 << 40, Entries: 10, Path: 100, Ratio: 100})
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %v; want ErrTooLarge", how, err)
		}
	}
}

func TestUnpackStopsWithItsContext(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := archive(t, file("f", "1"))
	if _, err := Unpack(ctx, bytes.NewReader(b), digests(b), t.TempDir(), DefaultLimits); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want context.Canceled", err)
	}
}

// FuzzUnpack unpacks anything and looks whether the neighbourhood of the root
// is as it was. Run it with -fuzzminimizetime=10x: what files a run makes is
// not repeatable enough for the minimizer.
func FuzzUnpack(f *testing.F) {
	needRoot(f)
	f.Add(archive(f, dir("d"), file("d/f", "1"), hardLink("g", "d/f"), symlink("l", "../..")))
	f.Add(archive(f, file("../f", "1"), file(".wh.x", ""), file("d/.wh..wh..opq", "")))
	f.Add(archive(f, symlink("up", ".."), file("up/outside", "1"), special(tar.TypeChar, "null")))
	limits := Limits{Bytes: 1 << 20, Entries: 100, Path: 256, Ratio: 100}
	f.Fuzz(func(t *testing.T, b []byte) {
		around := t.TempDir()
		root := filepath.Join(around, "root")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		victim := filepath.Join(around, "victim")
		if err := os.WriteFile(victim, []byte("v"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = Unpack(t.Context(), bytes.NewReader(b), digests(b), root, limits)
		if files, err := os.ReadDir(around); err != nil || len(files) != 2 {
			t.Fatalf("got %v, %v beside the root; want only root and victim", files, err)
		}
		info, err := os.Stat(victim)
		if content, _ := os.ReadFile(victim); err != nil || string(content) != "v" || info.Mode() != 0o600 {
			t.Fatalf("the file beside the root was changed: %v %q, %v", info, content, err)
		}
	})
}
