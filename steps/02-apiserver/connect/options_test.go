package connect

import (
	"net/url"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name, query string
		read        func(url.Values) (url.Values, error)
		want, err   string
	}{
		{"log", "follow=true&previous=1&timestamps&tailLines=5&limitBytes=7&sinceSeconds=3&stream=All&pretty=true", askLog, "follow=true&limitBytes=7&previous=true&sinceSeconds=3&stream=All&tailLines=5&timestamps=true", ""},
		{"log by default", "follow=false&previous=0", askLog, "stream=All", ""},
		{"log since a time", "sinceTime=2026-01-01T00:00:00%2B02:00", askLog, "sinceTime=2026-01-01T00%3A00%3A00%2B02%3A00&stream=All", ""},
		{"no number", "tailLines=x", askLog, "", `strconv.ParseInt: parsing "x": invalid syntax`},
		{"no time", "sinceTime=now", askLog, "", `parsing time "now"`},
		{"no such stream", "stream=Log", askLog, "", `stream: Unsupported value: "Log": supported values: "All", "Stderr", "Stdout"`},
		{"exec", "stdin&stdout=true&stderr=false&tty=1&command=a&command=b+c", askExec, "command=a&command=b+c&input=1&output=1&tty=1", ""},
		{"ports", "ports=80&ports=81,82", kubeletPorts, "port=80%2C81%2C82", ""},
		{"no ports", "", kubeletPorts, "", ""},
		{"no port", "ports=70000", kubeletPorts, "", "value out of range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.read(q)
			if c.err == "" && (err != nil || got.Encode() != c.want) {
				t.Errorf("got %s, %v, want %s", got.Encode(), err, c.want)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}

func askLog(q url.Values) (url.Values, error) {
	o, err := logOptions(q)
	if err == nil {
		err = validateLog(o, "web")
	}
	if err != nil {
		return nil, err
	}
	return kubeletLog(o), nil
}

func askExec(q url.Values) (url.Values, error) { return kubeletStreams(execOptions(q)), nil }

func FuzzLogOptions(f *testing.F) {
	f.Add("tailLines=5&follow")
	f.Add("sinceTime=2026-01-01T00:00:00Z&stream=Stdout")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		asked, err := askLog(q)
		if err != nil {
			return
		}
		again, err := askLog(asked) // the kubelet's names of these are the API's
		if err != nil || again.Encode() != asked.Encode() {
			t.Errorf("%q: got %s, then %s, %v", query, asked.Encode(), again.Encode(), err)
		}
	})
}
