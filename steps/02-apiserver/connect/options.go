package connect

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// parameters reads the query of a request as the options of a subresource, and
// remembers what it could not read.
type parameters struct {
	q   url.Values
	err error
}

// bool is true for whatever is there and does not say no: ?stdin is enough.
func (p *parameters) bool(name string) bool {
	values, there := p.q[name]
	return there && len(values) > 0 && values[0] != "0" && !strings.EqualFold(values[0], "false")
}

func (p *parameters) int(name string) *int64 {
	s := p.q.Get(name)
	if s == "" {
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	p.fail(err)
	return &v
}

func (p *parameters) time(name string) *metav1.Time {
	s := p.q.Get(name)
	if s == "" {
		return nil
	}
	v, err := time.Parse(time.RFC3339, s)
	p.fail(err)
	return &metav1.Time{Time: v}
}

func (p *parameters) fail(err error) {
	if p.err == nil && err != nil {
		p.err = apierrors.NewBadRequest(err.Error())
	}
}

func logOptions(q url.Values) (*corev1.PodLogOptions, error) {
	p := parameters{q: q}
	stream := corev1.LogStreamAll
	if s := q.Get("stream"); s != "" {
		stream = s
	}
	o := &corev1.PodLogOptions{
		Container: q.Get("container"), Follow: p.bool("follow"), Previous: p.bool("previous"), Timestamps: p.bool("timestamps"),
		SinceSeconds: p.int("sinceSeconds"), SinceTime: p.time("sinceTime"), TailLines: p.int("tailLines"), LimitBytes: p.int("limitBytes"),
		InsecureSkipTLSVerifyBackend: p.bool("insecureSkipTLSVerifyBackend"), Stream: &stream,
	}
	return o, p.err
}

var streams = []string{corev1.LogStreamAll, corev1.LogStreamStderr, corev1.LogStreamStdout}

// validateLog follows upstream's ValidatePodLogOptions.
func validateLog(o *corev1.PodLogOptions, name string) error {
	var errs field.ErrorList
	positive := func(of string, v *int64) {
		if v != nil && *v < 1 {
			errs = append(errs, field.Invalid(field.NewPath(of), *v, "must be greater than 0"))
		}
	}
	if o.TailLines != nil && *o.TailLines < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tailLines"), *o.TailLines, "must be greater than or equal to 0"))
	}
	positive("limitBytes", o.LimitBytes)
	if o.SinceSeconds != nil && o.SinceTime != nil {
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	} else {
		positive("sinceSeconds", o.SinceSeconds)
	}
	if !slices.Contains(streams, *o.Stream) {
		errs = append(errs, field.NotSupported(field.NewPath("stream"), *o.Stream, streams))
	}
	if *o.Stream != corev1.LogStreamAll && o.TailLines != nil {
		errs = append(errs, field.Forbidden(field.NewPath(""), "`tailLines` and specific `stream` are mutually exclusive for now"))
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "PodLogOptions"}, name, errs)
	}
	return nil
}

// kubeletLog is the query by which a kubelet is asked for the same.
func kubeletLog(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	for name, v := range map[string]bool{"follow": o.Follow, "previous": o.Previous, "timestamps": o.Timestamps} {
		if v {
			q.Set(name, "true")
		}
	}
	for name, v := range map[string]*int64{"sinceSeconds": o.SinceSeconds, "tailLines": o.TailLines, "limitBytes": o.LimitBytes} {
		if v != nil {
			q.Set(name, strconv.FormatInt(*v, 10))
		}
	}
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.Format(time.RFC3339))
	}
	q.Set("stream", *o.Stream)
	return q
}

// execOptions are also those of attach, which has no command.
func execOptions(q url.Values) *corev1.PodExecOptions {
	p := parameters{q: q}
	return &corev1.PodExecOptions{
		Container: q.Get("container"), Command: q["command"],
		Stdin: p.bool("stdin"), Stdout: p.bool("stdout"), Stderr: p.bool("stderr"), TTY: p.bool("tty"),
	}
}

// kubeletStreams is the query by which a kubelet is asked for the same. Its names
// are older than the API's.
func kubeletStreams(o *corev1.PodExecOptions) url.Values {
	q := url.Values{}
	for name, v := range map[string]bool{
		corev1.ExecStdinParam: o.Stdin, corev1.ExecStdoutParam: o.Stdout, corev1.ExecStderrParam: o.Stderr, corev1.ExecTTYParam: o.TTY,
	} {
		if v {
			q.Set(name, "1")
		}
	}
	for _, c := range o.Command {
		q.Add(corev1.ExecCommandParam, c)
	}
	return q
}

// kubeletPorts joins the ports of WebSocket clients, which name them in the query.
// Clients over SPDY name one with each stream.
func kubeletPorts(q url.Values) (url.Values, error) {
	var all []string
	for _, list := range q["ports"] {
		for port := range strings.SplitSeq(list, ",") {
			if _, err := strconv.ParseUint(port, 10, 16); err != nil {
				return nil, apierrors.NewBadRequest(err.Error())
			}
			all = append(all, port)
		}
	}
	if len(all) == 0 {
		return url.Values{}, nil
	}
	return url.Values{corev1.PortHeader: {strings.Join(all, ",")}}, nil
}
