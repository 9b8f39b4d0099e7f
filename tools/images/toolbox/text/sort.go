package text

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Sort is sort [-nru] [-k FIELD] [-t SEPARATOR] [FILE…].
func Sort(args []string) error {
	o, files, err := tool.Parse(args, "nruk:t:")
	if err != nil {
		return err
	}
	field := 0
	if o.Has('k') {
		first, _, _ := strings.Cut(o['k'], ",")
		if field, err = strconv.Atoi(strings.TrimRight(first, "nr")); err != nil {
			return err
		}
	}
	var lines []string
	err = tool.EachInput(files, func(_ string, r io.Reader) error {
		return tool.Lines(r, func(line string) bool { lines = append(lines, line); return true })
	})
	if err != nil {
		return err
	}
	order := func(a, b string) int { return compareLines(o, key(o, field, a), key(o, field, b)) }
	slices.SortStableFunc(lines, func(a, b string) int {
		if o.Has('r') {
			a, b = b, a
		}
		return order(a, b)
	})
	if o.Has('u') {
		lines = slices.CompactFunc(lines, func(a, b string) bool { return order(a, b) == 0 })
	}
	for _, line := range lines {
		fmt.Fprintln(tool.Out, line)
	}
	return nil
}

func key(o tool.Options, field int, line string) string {
	if field == 0 {
		return line
	}
	fields := strings.Fields(line)
	if o.Has('t') {
		fields = strings.Split(line, o['t'])
	}
	if field > len(fields) {
		return ""
	}
	return fields[field-1]
}

func compareLines(o tool.Options, a, b string) int {
	if o.Has('n') {
		x, y := leadingNumber(a), leadingNumber(b)
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return strings.Compare(a, b)
}

func leadingNumber(s string) float64 {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.' || end == 0 && s[end] == '-') {
		end++
	}
	n, _ := strconv.ParseFloat(s[:end], 64) // no number counts as 0
	return n
}

// Uniq is uniq [-cd].
func Uniq(args []string) error {
	o, files, err := tool.Parse(args, "cd")
	if err != nil {
		return err
	}
	last, n := "", 0
	flush := func() {
		switch {
		case n == 0 || o.Has('d') && n == 1:
		case o.Has('c'):
			fmt.Fprintf(tool.Out, "%7d %s\n", n, last)
		default:
			fmt.Fprintln(tool.Out, last)
		}
	}
	err = tool.EachInput(files, func(_ string, r io.Reader) error {
		return tool.Lines(r, func(line string) bool {
			if n == 0 || line != last {
				flush()
				last, n = line, 0
			}
			n++
			return true
		})
	})
	flush()
	return err
}
