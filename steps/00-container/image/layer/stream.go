package layer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Below this size the ratio means nothing: a short archive of zeros is fine.
const ratioFloor = 64 << 20

// zstd lets a frame ask for a window of any size; 128 MiB is what `zstd -d`
// itself accepts by default.
const maxWindow = 128 << 20

// A stream is the uncompressed archive. It counts and hashes both sides of the
// decompressor.
type stream struct {
	compressed   counter
	plain        counter
	buffered     *bufio.Reader
	limits       Limits
	decompressed io.Reader
	close        func()
}

func newStream(ctx context.Context, blob io.Reader, limits Limits) (*stream, error) {
	s := &stream{limits: limits, close: func() {}}
	s.compressed = counter{ctx: ctx, r: blob, sum: sha256.New()}
	s.buffered = bufio.NewReaderSize(&s.compressed, 64<<10)
	if err := s.decompress(); err != nil {
		return nil, fmt.Errorf("decompress layer: %w", err)
	}
	s.plain = counter{ctx: ctx, r: s.decompressed, sum: sha256.New()}
	return s, nil
}

// decompress looks at the magic number: media types in the wild are not
// always true.
func (s *stream) decompress() error {
	magic, err := s.buffered.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		s.decompressed, err = gzip.NewReader(s.buffered)
		return err
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(s.buffered, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		s.decompressed, s.close = d, d.Close
		return nil
	}
	s.decompressed = s.buffered
	return nil
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.plain.Read(p)
	if s.plain.n > s.limits.Bytes {
		return n, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, s.limits.Bytes)
	}
	if s.plain.n > ratioFloor && s.plain.n/s.limits.Ratio > s.compressed.n {
		return n, fmt.Errorf("%w: it grows more than %d times when uncompressed", ErrTooLarge, s.limits.Ratio)
	}
	return n, err
}

// verify is to be called at the end of the archive.
func (s *stream) verify(want Digests) error {
	if _, err := io.Copy(io.Discard, s.buffered); err != nil {
		return err
	}
	if err := s.compressed.verify("blob", want.Blob); err != nil {
		return err
	}
	return s.plain.verify("diff id", want.Diff)
}

// A counter counts and hashes what is read through it, until ctx is done.
type counter struct {
	ctx context.Context
	r   io.Reader
	n   int64
	sum hash.Hash
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.sum.Write(p[:n])
	return n, err
}

func (c *counter) verify(what string, want v1.Hash) error {
	if got := fmt.Sprintf("sha256:%x", c.sum.Sum(nil)); got != want.String() {
		return fmt.Errorf("%w: %s is %s, want %s", ErrCorrupt, what, got, want)
	}
	return nil
}
