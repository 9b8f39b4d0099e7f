package text

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Tr is tr [-d | -s | -c] SET [SET], with ranges, [:classes:] and escapes.
func Tr(args []string) error {
	o, sets, err := tool.Parse(args, "dscC")
	if err != nil {
		return err
	}
	if len(sets) == 0 {
		return fmt.Errorf("want a set of characters")
	}
	from := expandSet(sets[0])
	if o.Has('c') || o.Has('C') {
		from = complement(from)
	}
	var to []byte
	if len(sets) > 1 {
		to = expandSet(sets[1])
	}
	return translate(o, from, to)
}

func translate(o tool.Options, from, to []byte) error {
	in := bufio.NewReader(os.Stdin)
	last := -1
	for {
		c, err := in.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		at := bytes.LastIndexByte(from, c)
		if at >= 0 && o.Has('d') {
			continue
		}
		if at >= 0 && len(to) > 0 {
			c = to[min(at, len(to)-1)]
		}
		if at >= 0 && o.Has('s') && int(c) == last {
			continue
		}
		last = int(c)
		if err := tool.Out.WriteByte(c); err != nil {
			return err
		}
	}
}

var classes = strings.NewReplacer("[:upper:]", "A-Z", "[:lower:]", "a-z", "[:digit:]", "0-9", "[:alpha:]", "A-Za-z",
	"[:alnum:]", "A-Za-z0-9", "[:space:]", " \t\n\v\f\r", "[:blank:]", " \t", "[:punct:]", "!-/:-@[-`{-~",
	`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\\`, `\`)

func expandSet(set string) []byte {
	set = classes.Replace(set)
	var out []byte
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' && set[i] <= set[i+2] {
			for c := int(set[i]); c <= int(set[i+2]); c++ {
				out = append(out, byte(c))
			}
			i += 2
			continue
		}
		out = append(out, set[i])
	}
	return out
}

func complement(set []byte) []byte {
	var out []byte
	for c := range 256 {
		if bytes.IndexByte(set, byte(c)) < 0 {
			out = append(out, byte(c))
		}
	}
	return out
}
