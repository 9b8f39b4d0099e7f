package crilog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// Options choose what Read returns.
type Options struct {
	TailLines  *int64    // only the last lines; all if nil
	LimitBytes *int64    // stop after so many bytes of output
	Since      time.Time // only what was written at or after
	Timestamps bool      // begin each line with its time

	// Follow waits at the end for more, until ctx is done. It survives a
	// rotation: what is left in the renamed file comes first, then the new one.
	Follow bool
	// Ended, with Follow, says that nothing will be written any more. Read then
	// returns what is there and ends. It is asked each time the log has been
	// read to its end.
	Ended func() bool
}

// Read writes the content of the log at path to stdout and stderr, which may
// be nil. It returns nil at the end of the log, at the limit, and when ctx ends.
// An error of a writer ends it too.
func Read(ctx context.Context, path string, opts Options, stdout, stderr io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	r := reader{path: path, file: file, opts: opts, out: map[string]io.Writer{Stdout: stdout, Stderr: stderr}}
	defer func() { r.file.Close() }()
	if opts.TailLines != nil {
		if err := r.seekTail(*opts.TailLines); err != nil {
			return err
		}
	}
	if opts.LimitBytes != nil {
		r.limited, r.left = true, *opts.LimitBytes
	}
	err = r.run(ctx)
	if errors.Is(err, errLimit) || ctx.Err() != nil {
		return nil
	}
	return err
}

var errLimit = errors.New("byte limit reached")

type reader struct {
	path    string
	file    *os.File
	opts    Options
	out     map[string]io.Writer
	torn    []byte          // the beginning of an entry whose end is not written yet
	midline map[string]bool // streams whose last entry was partial
	limited bool
	left    int64
}

func (r *reader) run(ctx context.Context) error {
	r.midline = map[string]bool{}
	if !r.opts.Follow {
		return r.drain(ctx)
	}
	changes, err := watch(r.path)
	if err != nil {
		return err
	}
	defer changes.Close()
	for {
		// Asked before draining: what was written before the end is read after.
		ended := r.opts.Ended != nil && r.opts.Ended()
		if err := r.drain(ctx); err != nil {
			return err
		}
		next, err := r.rotated()
		if err != nil {
			return err
		}
		if next != nil {
			err := r.drain(ctx) // the writer may have got in between
			r.file.Close()
			r.file, r.torn = next, nil
			if err != nil {
				return err
			}
			continue
		}
		if ended {
			return nil
		}
		if err := changes.Wait(ctx); err != nil {
			return err
		}
	}
}

// drain reads to the end of the file that is open.
func (r *reader) drain(ctx context.Context) error {
	in := bufio.NewReaderSize(r.file, 64<<10)
	for ctx.Err() == nil {
		line, err := in.ReadSlice('\n')
		r.torn = append(r.torn, line...)
		switch {
		case err == nil:
			if err := r.entry(r.torn); err != nil {
				return err
			}
			r.torn = r.torn[:0]
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
	return ctx.Err()
}

// entry writes one entry out. A line that is no entry is passed over: somebody
// else wrote into the file, and the container's own output goes on behind it.
func (r *reader) entry(line []byte) error {
	e, err := Parse(line)
	if err != nil || e.Time.Before(r.opts.Since) {
		return nil
	}
	starts := !r.midline[e.Stream]
	r.midline[e.Stream] = e.Partial
	w := r.out[e.Stream]
	if w == nil {
		return nil
	}
	var buf []byte
	if r.opts.Timestamps && starts {
		buf = append(e.Time.AppendFormat(buf, time.RFC3339Nano), ' ')
	}
	buf = append(buf, e.Content...)
	if !e.Partial {
		buf = append(buf, '\n')
	}
	if r.limited {
		buf = buf[:min(int64(len(buf)), r.left)]
		r.left -= int64(len(buf))
	}
	if _, err := w.Write(buf); err != nil {
		return err
	}
	if r.limited && r.left == 0 {
		return errLimit
	}
	return nil
}

// rotated returns the file that path names now if it is not the one we read.
// Between rename and reopen there is none; the change will be told.
func (r *reader) rotated() (*os.File, error) {
	next, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a, err1 := r.file.Stat()
	b, err2 := next.Stat()
	if err := errors.Join(err1, err2); err != nil || os.SameFile(a, b) {
		next.Close()
		return nil, err
	}
	return next, nil
}

// seekTail moves to where the last n lines begin. A line is what the container
// wrote as one, however many entries it takes; kubelet's tail counts entries.
func (r *reader) seekTail(n int64) error {
	if n <= 0 {
		_, err := r.file.Seek(0, io.SeekEnd)
		return err
	}
	var starts []int64 // offsets of the last n lines, oldest first
	var offset int64
	midline := map[string]bool{}
	in := bufio.NewReaderSize(r.file, 64<<10)
	for {
		line, err := readLine(in)
		if err != nil && len(line) == 0 {
			break
		}
		if e, perr := Parse(line); perr == nil {
			if !midline[e.Stream] {
				starts = append(starts, offset)
			}
			midline[e.Stream] = e.Partial
		}
		if int64(len(starts)) > n {
			starts = starts[1:]
		}
		offset += int64(len(line))
	}
	if len(starts) > 0 {
		offset = starts[0]
	}
	_, err := r.file.Seek(offset, io.SeekStart)
	return err
}

func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	head := bytes.Clone(line)
	rest, err := in.ReadBytes('\n')
	return append(head, rest...), err
}
