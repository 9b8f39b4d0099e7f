// Package crilog is the log format between a container runtime and a kubelet,
// and the files it is kept in.
//
// A container writes bytes; the log has one entry per line, with the time, the
// stream it came from, and whether the line ends here (F) or goes on in the
// next entry of that stream (P):
//
//	2016-10-06T00:17:09.669794202Z stdout F The content of a line
//	2016-10-06T00:17:09.669794203Z stdout P The beginning of one that is
//	2016-10-06T00:17:10.113242941Z stdout F too long for one entry
//
// The format is kubernetes/community's kubelet-cri-logging.md. Whoever writes a
// log appends; the kubelet renames a log that has grown too big and asks the
// runtime to reopen it by its name, and a reader that follows notices.
package crilog

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// MaxContent is the most content that one entry holds. containerd and CRI-O
// split at the same size.
const MaxContent = 16 << 10

// The streams of a container. A terminal has only Stdout.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// An Entry is one line of a log file.
type Entry struct {
	Time    time.Time
	Stream  string
	Partial bool // the line goes on in the stream's next entry
	Content []byte
}

// Append encodes what a container wrote at one moment as entries, and appends
// them to dst. Output without a final newline becomes a partial entry at once:
// nothing that a container wrote waits in memory for its line to end.
func Append(dst []byte, at time.Time, stream string, output []byte) []byte {
	for len(output) > 0 {
		line, partial := output, true
		if i := bytes.IndexByte(output, '\n'); i >= 0 {
			line, partial = output[:i], false
		}
		if len(line) > MaxContent {
			line, partial = line[:MaxContent], true
		}
		output = output[len(line):]
		if !partial {
			output = output[1:]
		}
		dst = appendEntry(dst, Entry{at, stream, partial, line})
	}
	return dst
}

func appendEntry(dst []byte, e Entry) []byte {
	dst = e.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, ' ')
	dst = append(dst, e.Stream...)
	if e.Partial {
		dst = append(dst, " P "...)
	} else {
		dst = append(dst, " F "...)
	}
	dst = append(dst, e.Content...)
	return append(dst, '\n')
}

var errFormat = errors.New("not a CRI log entry")

// Parse decodes one line of a log file, with or without its newline. Content
// is a part of line, not a copy.
func Parse(line []byte) (Entry, error) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	stamp, rest, ok1 := bytes.Cut(line, []byte(" "))
	stream, rest, ok2 := bytes.Cut(rest, []byte(" "))
	tags, content, ok3 := bytes.Cut(rest, []byte(" "))
	if !ok1 || !ok2 || !ok3 {
		return Entry{}, errFormat
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errFormat, err)
	}
	if s := string(stream); s != Stdout && s != Stderr {
		return Entry{}, fmt.Errorf("%w: stream %q", errFormat, s)
	}
	// Tags are separated by colons, and only the first is defined.
	tag, _, _ := bytes.Cut(tags, []byte(":"))
	return Entry{at, string(stream), string(tag) == "P", content}, nil
}
