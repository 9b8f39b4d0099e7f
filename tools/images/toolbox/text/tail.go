package text

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Tail is tail [-n LINES] [-f] [FILE…]; -n +3 starts at the third line. With
// -f it looks for more every half second, and for ever.
func Tail(args []string) error {
	o, files, err := tool.Parse(shortCount(args), "n:fFq")
	if err != nil {
		return err
	}
	fromStart := strings.HasPrefix(o['n'], "+")
	n := 10
	if o.Has('n') {
		if n, err = strconv.Atoi(strings.TrimPrefix(o['n'], "+")); err != nil {
			return err
		}
	}
	if err := tool.EachInput(files, func(_ string, r io.Reader) error { return lastLines(r, n, fromStart) }); err != nil {
		return err
	}
	if (o.Has('f') || o.Has('F')) && len(files) > 0 {
		return follow(files[len(files)-1])
	}
	return nil
}

func lastLines(r io.Reader, n int, fromStart bool) error {
	var kept []string
	at := 0
	err := tool.Lines(r, func(line string) bool {
		at++
		if fromStart {
			if at >= n {
				fmt.Fprintln(tool.Out, line)
			}
			return true
		}
		if kept = append(kept, line); len(kept) > n {
			kept = kept[1:]
		}
		return true
	})
	for _, line := range kept {
		fmt.Fprintln(tool.Out, line)
	}
	return err
}

// follow starts at the present end of the file.
func follow(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	for {
		if _, err := io.Copy(tool.Out, f); err != nil {
			return err
		}
		if err := tool.Out.Flush(); err != nil {
			return tool.Exit(1)
		}
		time.Sleep(500 * time.Millisecond)
	}
}
