// Package text holds the toolbox's programs that read lines and write lines.
package text

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Head is head [-n LINES | -c BYTES] [FILE…].
func Head(args []string) error {
	o, files, err := tool.Parse(shortCount(args), "n:c:q")
	if err != nil {
		return err
	}
	if o.Has('c') {
		n, err := strconv.ParseInt(o['c'], 10, 64)
		if err != nil {
			return err
		}
		return tool.EachInput(files, func(_ string, r io.Reader) error {
			_, err := io.CopyN(tool.Out, r, n)
			if err == io.EOF {
				return nil
			}
			return err
		})
	}
	n, err := count(o, 10)
	if err != nil {
		return err
	}
	return tool.EachInput(files, func(_ string, r io.Reader) error {
		left := n
		return tool.Lines(r, func(line string) bool {
			if left--; left < 0 {
				return false
			}
			fmt.Fprintln(tool.Out, line)
			return left > 0
		})
	})
}

// shortCount turns the old -5 into -n5.
func shortCount(args []string) []string {
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		if _, err := strconv.Atoi(args[0][1:]); err == nil {
			return append([]string{"-n" + args[0][1:]}, args[1:]...)
		}
	}
	return args
}

func count(o tool.Options, otherwise int) (int, error) {
	if !o.Has('n') {
		return otherwise, nil
	}
	return strconv.Atoi(o['n'])
}

// Wc is wc [-lwc] [FILE…].
func Wc(args []string) error {
	o, files, err := tool.Parse(args, "lwc")
	if err != nil {
		return err
	}
	var total [3]int
	err = tool.EachInput(files, func(name string, r io.Reader) error {
		n, err := countAll(r)
		for i := range n {
			total[i] += n[i]
		}
		printCounts(o, n, strings.TrimPrefix(name, "-"))
		return err
	})
	if len(files) > 1 {
		printCounts(o, total, "total")
	}
	return err
}

func countAll(r io.Reader) (n [3]int, err error) {
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadBytes('\n')
		n[0] += bytes.Count(line, []byte("\n"))
		n[1] += len(bytes.Fields(line))
		n[2] += len(line)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func printCounts(o tool.Options, n [3]int, name string) {
	var words []string
	for i, letter := range []byte("lwc") {
		if len(o) == 0 || o.Has(letter) {
			words = append(words, strconv.Itoa(n[i]))
		}
	}
	if name != "" {
		words = append(words, name)
	}
	fmt.Fprintln(tool.Out, strings.Join(words, " "))
}

// Cut is cut -f LIST [-d CHARACTER] [-s] [FILE…], or -c LIST for characters.
func Cut(args []string) error {
	o, files, err := tool.Parse(args, "f:d:c:b:s")
	if err != nil {
		return err
	}
	list := o['f'] + o['c'] + o['b']
	wanted, err := parseList(list)
	if err != nil {
		return err
	}
	delimiter := "\t"
	if o.Has('d') {
		delimiter = o['d']
	}
	cutLine := func(line string) (string, bool) {
		if !o.Has('f') {
			return strings.Join(pick(strings.Split(line, ""), wanted), ""), true
		}
		if !strings.Contains(line, delimiter) {
			return line, !o.Has('s')
		}
		return strings.Join(pick(strings.Split(line, delimiter), wanted), delimiter), true
	}
	return tool.EachInput(files, func(_ string, r io.Reader) error {
		return tool.Lines(r, func(line string) bool {
			if out, ok := cutLine(line); ok {
				fmt.Fprintln(tool.Out, out)
			}
			return true
		})
	})
}

// parseList reads 1,3-5,7- into a function that knows what is in the list.
func parseList(list string) (func(int) bool, error) {
	type span struct{ from, to int }
	var spans []span
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		s := span{1, 1 << 30}
		var err error
		if first != "" {
			if s.from, err = strconv.Atoi(first); err != nil {
				return nil, fmt.Errorf("bad list %q", list)
			}
		}
		if !isRange {
			s.to = s.from
		} else if last != "" {
			if s.to, err = strconv.Atoi(last); err != nil {
				return nil, fmt.Errorf("bad list %q", list)
			}
		}
		spans = append(spans, s)
	}
	return func(n int) bool {
		return slices.ContainsFunc(spans, func(s span) bool { return s.from <= n && n <= s.to })
	}, nil
}

func pick(fields []string, wanted func(int) bool) []string {
	var out []string
	for i, f := range fields {
		if wanted(i + 1) {
			out = append(out, f)
		}
	}
	return out
}

// Seq is seq [FIRST [STEP]] LAST.
func Seq(args []string) error {
	numbers := []int{1, 1, 0}
	var given []int
	for _, a := range args {
		n, err := strconv.Atoi(a)
		if err != nil {
			return err
		}
		given = append(given, n)
	}
	switch len(given) {
	case 1:
		numbers[2] = given[0]
	case 2:
		numbers[0], numbers[2] = given[0], given[1]
	case 3:
		numbers = given
	default:
		return fmt.Errorf("want one, two or three numbers")
	}
	if numbers[1] == 0 {
		return fmt.Errorf("a step of 0 never arrives")
	}
	for n := numbers[0]; numbers[1] > 0 && n <= numbers[2] || numbers[1] < 0 && n >= numbers[2]; n += numbers[1] {
		fmt.Fprintln(tool.Out, n)
	}
	return nil
}

// Tee is tee [-a] [FILE…].
func Tee(args []string) error {
	o, files, err := tool.Parse(args, "ai")
	if err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if o.Has('a') {
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	writers := []io.Writer{os.Stdout}
	for _, name := range files {
		f, err := os.OpenFile(name, flags, 0o666)
		if err != nil {
			return err
		}
		defer f.Close()
		writers = append(writers, f)
	}
	_, err = io.Copy(io.MultiWriter(writers...), os.Stdin)
	return err
}

// Yes is yes [WORD…].
func Yes(args []string) error {
	word := "y"
	if len(args) > 0 {
		word = strings.Join(args, " ")
	}
	for {
		if _, err := fmt.Fprintln(tool.Out, word); err != nil {
			return tool.Exit(1)
		}
	}
}
