// Package expand replaces $(VAR) in the strings of a container.
//
// The syntax is deliberately smaller than a shell's: $(NAME) stands for the
// value of a variable, $$ for one dollar sign, and everything else for itself.
// There is no quoting and no second round, so a value that itself looks like
// $(X) is safe.
//
// Upstream: third_party/forked/golang/expansion.
package expand

import (
	"fmt"
	"strings"
)

// A Lookup returns the value of a variable, and whether there is one.
type Lookup func(name string) (value string, ok bool)

// Expand replaces every reference in s. A reference to a variable that does
// not exist stays as it is written, as the API documents for command, args and
// env.
func Expand(s string, lookup Lookup) string {
	return replace(s, func(name string) string {
		if v, ok := lookup(name); ok {
			return v
		}
		return "$(" + name + ")"
	})
}

// Strict replaces every reference in s and fails when a variable does not
// exist, as the API documents for subPathExpr.
func Strict(s string, lookup Lookup) (string, error) {
	var missing []string
	out := replace(s, func(name string) string {
		v, ok := lookup(name)
		if !ok {
			missing = append(missing, name)
		}
		return v
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("missing value for %q", missing[0])
	}
	return out, nil
}

func replace(s string, value func(name string) string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if rest, ok := strings.CutPrefix(after, "$"); ok {
			out.WriteByte('$')
			s = rest
			continue
		}
		name, rest, ok := reference(after)
		if !ok {
			out.WriteByte('$')
			s = after
			continue
		}
		out.WriteString(value(name))
		s = rest
	}
}

// reference splits "(NAME)rest".
func reference(s string) (name, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, "(")
	if !ok {
		return "", "", false
	}
	return strings.Cut(s, ")")
}
