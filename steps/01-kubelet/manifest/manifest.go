// Package manifest turns what a person wrote into pods that a kubelet can run,
// or into errors that the person can act on.
//
// [Decode] reads YAML or JSON strictly: a field that the API does not have, or
// one that is there twice, is an error with its path and line. [SetDefaults]
// fills in what was left out. [Validate] says what can't be right. The last two
// are pure functions on pods, with upstream's defaults and words (its
// pkg/apis/core/v1/defaults.go and pkg/apis/core/validation), so that a pod
// which is refused here would be refused by any other Kubernetes.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// An Error is one thing that is wrong with a manifest.
type Error struct {
	File    string
	Line    int    // from 1; 0 if it is not known
	Path    string // of the field, such as spec.containers[0].image; "" for the whole
	Message string
}

func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Path != "" {
		s += ": " + e.Path
	}
	return s + ": " + e.Message
}

// Decode returns the pods of a manifest, as they were written: neither defaults
// are set nor is anything validated. The file holds YAML documents or JSON, each
// a Pod or a List of Pods; its name only serves error messages. The result is
// all of the pods or an error that joins an [*Error] for each mistake.
func Decode(file string, data []byte) ([]Decoded, error) {
	var pods []Decoded
	var errs []error
	for _, doc := range split(data) {
		found, err := doc.decode(file)
		pods, errs = append(pods, found...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return pods, nil
}

// A Decoded is one pod, and where it is written.
type Decoded struct {
	Pod  *corev1.Pod
	file string
	at   position
}

// Errors turns what Validate or another check found into errors with lines.
func (d Decoded) Errors(list field.ErrorList) error {
	var errs []error
	for _, e := range list {
		errs = append(errs, &Error{File: d.file, Line: d.at.line(e.Field), Path: d.at.full(e.Field), Message: e.ErrorBody()})
	}
	return errors.Join(errs...)
}

// A document is a part of a file.
type document struct {
	text []byte
	line int // of the file, where text begins; from 1
}

var separator = regexp.MustCompile(`(?m)^---([ \t].*)?\r?$`)

// split cuts a stream of YAML documents at its lines of three dashes. JSON has
// none: there one value follows the other.
func split(data []byte) []document {
	var docs []document
	begin, line := 0, 1
	add := func(end int) {
		for _, text := range values(data[begin:end]) {
			if len(strings.TrimSpace(withoutComments(text))) > 0 {
				docs = append(docs, document{text, line})
			}
			line += strings.Count(string(text), "\n")
		}
	}
	for _, at := range separator.FindAllIndex(data, -1) {
		add(at[0])
		begin = at[1]
	}
	add(len(data))
	return docs
}

// values cuts JSON after each value; what is not JSON stays whole.
func values(text []byte) (parts [][]byte) {
	in, begin := json.NewDecoder(bytes.NewReader(text)), 0
	for {
		var v json.RawMessage
		switch err := in.Decode(&v); {
		case err == io.EOF && begin > 0:
			return append(parts, text[begin:])
		case err != nil:
			return [][]byte{text}
		}
		end := int(in.InputOffset())
		parts, begin = append(parts, text[begin:end]), end
	}
}

var comment = regexp.MustCompile(`(?m)^\s*#.*$`)

func withoutComments(text []byte) string { return comment.ReplaceAllString(string(text), "") }

// decode returns the pods of one document.
func (d document) decode(file string) ([]Decoded, error) {
	fail := func(line int, path, message string) ([]Decoded, error) {
		return nil, &Error{File: file, Line: line, Path: path, Message: message}
	}
	at, err := positions(d)
	if err != nil {
		return fail(at.line(""), "", err.Error())
	}
	if len(*at.twice) > 0 {
		path := (*at.twice)[0]
		return fail(at.line(path), path, "duplicate field")
	}
	asJSON, err := yaml.YAMLToJSON(d.text)
	if err != nil {
		line, message := lineOf(err)
		return fail(d.line+line-1, "", message)
	}
	var kind struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(asJSON, &kind); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
			return fail(at.line(wrong.Field), wrong.Field, got(wrong.Value, wrong.Type.String()))
		}
		return fail(d.line, "", "not an object of the API: it would begin with apiVersion and kind")
	}
	if kind.APIVersion != "v1" {
		return fail(at.line("apiVersion"), "apiVersion", fmt.Sprintf("got %q, want \"v1\"", kind.APIVersion))
	}
	switch kind.Kind {
	case "Pod":
		return decodePod(file, asJSON, metav1.TypeMeta{}, at)
	case "List", "PodList":
		var implied metav1.TypeMeta
		if kind.Kind == "PodList" { // as a kubelet's /pods has it: its items need not say what they are
			implied = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		}
		var pods []Decoded
		var errs []error
		for i, item := range kind.Items {
			found, err := decodePod(file, item, implied, at.below(fmt.Sprintf("items[%d]", i)))
			pods, errs = append(pods, found...), append(errs, err)
		}
		return pods, errors.Join(errs...)
	}
	return fail(at.line("kind"), "kind", fmt.Sprintf("got %q, want \"Pod\", or a \"List\" of pods: a kubelet runs nothing else", kind.Kind))
}

// decodePod decodes one pod; implied is what it is when it does not say so.
func decodePod(file string, data []byte, implied metav1.TypeMeta, at position) ([]Decoded, error) {
	pod := &corev1.Pod{TypeMeta: implied}
	strict, err := kjson.UnmarshalStrict(data, pod)
	var errs []error
	for _, e := range append(strict, err) {
		if e != nil {
			errs = append(errs, explain(file, e, at))
		}
	}
	if len(errs) == 0 && pod.APIVersion != "v1" {
		errs = append(errs, &Error{File: file, Line: at.line("apiVersion"), Path: at.full("apiVersion"), Message: fmt.Sprintf("got %q, want \"v1\"", pod.APIVersion)})
	}
	if len(errs) == 0 && pod.Kind != "Pod" {
		errs = append(errs, &Error{File: file, Line: at.line("kind"), Path: at.full("kind"), Message: fmt.Sprintf("got %q, want \"Pod\"", pod.Kind)})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return []Decoded{{pod, file, at}}, nil
}

var (
	strictError = regexp.MustCompile(`^(unknown|duplicate) field "(.*)"$`)
	typeError   = regexp.MustCompile(`^json: cannot unmarshal (.*) into Go struct field (?:\w+\.)?(\S+) of type (\S+)$`)
	yamlError   = regexp.MustCompile(`(?s)^.*line (\d+): (.*)$`)
)

// explain finds the place of a decoding error in the manifest.
func explain(file string, err error, at position) error {
	e := &Error{File: file, Message: err.Error()}
	if m := strictError.FindStringSubmatch(err.Error()); m != nil {
		e.Path, e.Message = m[2], m[1]+" field"
	} else if m := typeError.FindStringSubmatch(err.Error()); m != nil {
		kind, _, _ := strings.Cut(m[1], " ") // "number 1.5" is of the kind number
		e.Path, e.Message = at.exact(m[2], kind), got(m[1], m[3])
	}
	e.Line, e.Path = at.line(e.Path), at.full(e.Path)
	return e
}

// got says that a value is of another type than the field.
func got(value, want string) string {
	article := "a"
	if strings.ContainsAny(value[:1], "aeo") {
		article = "an"
	}
	return fmt.Sprintf("got %s %s, want %s", article, value, want)
}

// lineOf takes the line out of a YAML error, which begins with it.
func lineOf(err error) (line int, message string) {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, err.Error()
	}
	line, _ = strconv.Atoi(m[1])
	return line, m[2]
}
