package apiagree

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// normal is an answer without what no two servers have in common: who made the
// object, when, and the names and addresses that are drawn.
func normal(body []byte) any {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return string(body)
	}
	if m, ok := v.(map[string]any); ok {
		meta, _ := m["metadata"].(map[string]any)
		_, listed := meta["resourceVersion"]
		anonymous(m)
		if items, ok := m["items"].([]any); ok {
			m["items"] = slices.DeleteFunc(items, func(item any) bool { return !seed(item) })
		}
		if rows, ok := m["rows"].([]any); ok && listed {
			m["rows"] = slices.DeleteFunc(rows, func(row any) bool { return !seed(row.(map[string]any)["object"]) })
		}
		items, _ := m["items"].([]any)
		rows, _ := m["rows"].([]any)
		for _, row := range rows {
			items = append(items, row.(map[string]any)["object"])
		}
		for _, item := range items {
			if o, ok := item.(map[string]any); ok {
				anonymous(o)
			}
		}
	}
	return drawn(v)
}

// seed says whether a listed object is one that both servers were given; others they
// have made themselves, each in its own way.
func seed(object any) bool {
	o, _ := object.(map[string]any)
	meta, _ := o["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return strings.HasPrefix(name, "seed-") || name == "sandboxed"
}

// anonymous takes from an object which one it is.
func anonymous(object map[string]any) {
	meta, _ := object["metadata"].(map[string]any)
	for _, f := range []string{"uid", "creationTimestamp", "resourceVersion"} {
		delete(meta, f)
	}
	if _, more := meta["continue"]; more {
		meta["continue"] = "TOKEN"
	}
	managers, _ := meta["managedFields"].([]any)
	for _, m := range managers {
		delete(m.(map[string]any), "time")
	}
}

var (
	ages   = regexp.MustCompile(`^\d+s$`)   // as they are printed
	ports  = regexp.MustCompile(`:3\d{4}/`) // of nodes, as they are printed
	tokens = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`)
	times  = regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`)
	ips    = regexp.MustCompile(`^10\.(9[6-9]|10[0-9])\.\d+\.\d+$`)
	uids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

func drawn(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = drawn(v[k])
			if n, ok := v[k].(float64); ok && (k == "nodePort" || k == "healthCheckNodePort") && n >= 30000 {
				v[k] = "PORT"
			}
		}
	case []any:
		for i := range v {
			v[i] = drawn(v[i])
		}
	case string:
		v = strings.ReplaceAll(v, "Key: /registry/", "Key: /") // a dry run does without
		v = ages.ReplaceAllString(ports.ReplaceAllString(v, ":PORT/"), "AGE")
		return uids.ReplaceAllString(ips.ReplaceAllString(times.ReplaceAllString(tokens.ReplaceAllString(v, "kube-api-access-XXXXX"), "TIME"), "IP"), "UID")
	}
	return v
}

// differences names where two answers are different, without the numbers of elements.
func differences(ours, theirs answer) (where []string) {
	if ours.code != theirs.code {
		where = append(where, fmt.Sprintf("%d, not %d", ours.code, theirs.code))
	}
	a, b := normal(ours.body), normal(theirs.body)
	if ours.code >= 400 && theirs.code >= 400 {
		return append(where, apart(lines(a), lines(b))...)
	}
	if ours.code != theirs.code {
		for _, l := range append(lines(a), lines(b)...) {
			where = append(where, shape(l))
		}
		return where
	}
	walk("", a, b, &where)
	for _, h := range apart(ours.warnings, theirs.warnings) {
		where = append(where, "warning: "+h)
	}
	slices.Sort(where)
	return slices.Compact(where)
}

// apart is what is in one list alone.
func apart(ours, theirs []string) (out []string) {
	for _, l := range ours {
		if !slices.Contains(theirs, l) {
			out = append(out, "ours alone: "+shape(l))
		}
	}
	for _, l := range theirs {
		if !slices.Contains(ours, l) {
			out = append(out, "theirs alone: "+shape(l))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lines are the causes of a refusal, or its message.
func lines(v any) (out []string) {
	m, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprint(v)}
	}
	if m["kind"] != "Status" {
		return nil
	}
	details, _ := m["details"].(map[string]any)
	causes, _ := details["causes"].([]any)
	for _, c := range causes {
		c := c.(map[string]any)
		message, _, _ := strings.Cut(fmt.Sprint(c["message"]), "\n") // upstream shows its inner types
		if c["field"] == "patch" {
			message = patched.ReplaceAllString(message, "OBJECT") // with all that is another on each server
		}
		out = append(out, fmt.Sprint(c["field"], ": ", message))
	}
	if len(out) == 0 {
		told := strings.Split(fmt.Sprint(m["message"]), "\n")
		slices.Sort(told) // what a patch that is applied has twice is told in any order
		out = append(out, fmt.Sprint(m["reason"], ": ", strings.Join(told, "\n")))
	}
	return out
}

var patched = regexp.MustCompile(`"\{(?:[^"\\]|\\.)*"`)

var (
	index  = regexp.MustCompile(`\[[^\]]*\]`)
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	digits = regexp.MustCompile(`\d+`)
)

// shape makes alike what differs in names and numbers.
func shape(line string) string {
	return digits.ReplaceAllString(quoted.ReplaceAllString(index.ReplaceAllString(line, "[]"), `""`), "0")
}

func walk(path string, a, b any, where *[]string) {
	if reflect.DeepEqual(a, b) || empty(a) && empty(b) {
		return
	}
	ma, oka := a.(map[string]any)
	mb, okb := b.(map[string]any)
	if oka && okb {
		for k := range ma {
			walk(path+"."+k, ma[k], mb[k], where)
		}
		for k := range mb {
			if _, both := ma[k]; !both {
				walk(path+"."+k, nil, mb[k], where)
			}
		}
		return
	}
	la, oka := a.([]any)
	lb, okb := b.([]any)
	if oka && okb && len(la) == len(lb) {
		for i := range la {
			walk(path+"[]", la[i], lb[i], where)
		}
		return
	}
	*where = append(*where, fmt.Sprintf("%s: %s, not %s", path, short(a), short(b)))
}

// empty: a list of nothing is written in two ways.
func empty(v any) bool {
	l, ok := v.([]any)
	return v == nil || ok && len(l) == 0
}

func short(v any) string {
	if v == nil {
		return "nothing"
	}
	b, _ := json.Marshal(v)
	return strings.TrimSpace(shape(string(b[:min(len(b), 80)])))
}
