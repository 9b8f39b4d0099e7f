package observed

import (
	"bufio"
	"io"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits of a termination message, as the API documents them.
const (
	maxMessage      = 4096 // bytes of the file
	maxMessageLog   = 2048 // bytes of the log, with FallbackToLogsOnError
	maxMessageLines = 80
)

// terminationMessage returns why the container stopped, in its own words if it
// left some: the file at terminationMessagePath, or the tail of its log when the
// policy says so and it failed without a word; the runtime's message otherwise.
func terminationMessage(c *Container, s *runtimeapi.ContainerStatus) string {
	text := ""
	for _, m := range s.Mounts {
		if path := c.Info.TerminationMessagePath; path != "" && m.ContainerPath == path {
			text = head(m.HostPath)
		}
	}
	if text == "" && c.Info.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError && c.ExitCode != 0 {
		text = logTail(c.LogPath)
	}
	switch {
	case text == "":
		return s.Message
	case s.Message != "":
		return s.Message + ": " + text
	}
	return text
}

// head returns the first part of a file that a container wrote; "" if there is
// nothing to read.
func head(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, maxMessage))
	return strings.ToValidUTF8(string(data), "\uFFFD")
}

// logTail returns the last lines of a log in the CRI format, each of which is
// "time stream tag text": text only.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const window = 64 << 10 // more than the lines that are kept, time stamps included
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-window), io.SeekStart)
	}
	var lines []string
	in := bufio.NewScanner(f)
	in.Buffer(nil, window+1)
	for in.Scan() {
		parts := strings.SplitN(in.Text(), " ", 4)
		if len(parts) < 4 {
			continue
		}
		text := parts[3]
		if parts[2] == "F" { // a full line; P is a part of a long one
			text += "\n"
		}
		lines = append(lines, text)
	}
	text := strings.Join(lines[max(0, len(lines)-maxMessageLines):], "")
	text = text[max(0, len(text)-maxMessageLog):]
	return strings.ToValidUTF8(text, "")
}
