// Package net holds the toolbox's programs that talk over a network, and those
// that show how it is set up.
package net

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// A fetch is what wget and curl have in common.
type fetch struct {
	url, method, body string
	headers           []string
	timeout           time.Duration
	insecure          bool
	showHeaders       bool
	out               io.Writer
	failOnStatus      bool
	unixSocket        string
}

func (f fetch) do() error {
	if !strings.Contains(f.url, "://") {
		f.url = "http://" + f.url
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, f.method, f.url, strings.NewReader(f.body))
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "toolbox")
	for _, h := range f.headers {
		name, value, _ := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		if strings.EqualFold(name, "Host") {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	response, err := f.client().Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if f.showHeaders {
		fmt.Fprintf(f.out, "%s %s\r\n", response.Proto, response.Status)
		if err := response.Header.Write(f.out); err != nil {
			return err
		}
		fmt.Fprint(f.out, "\r\n")
	}
	if f.failOnStatus && response.StatusCode >= 400 {
		return fmt.Errorf("server answered %s", response.Status)
	}
	_, err = io.Copy(f.out, response.Body)
	return err
}

func (f fetch) client() *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: f.insecure}}
	if f.unixSocket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", f.unixSocket)
		}
	}
	return &http.Client{Transport: transport}
}

const forever = 24 * time.Hour

// Wget is wget [-q] [-O FILE] [-T SECONDS] [--header H] [--post-data D] [--spider] URL.
func Wget(args []string) error {
	args, long := longOptions(args, "header", "post-data", "timeout", "output-document")
	o, rest, err := tool.Parse(args, "qO:T:SYUt:c")
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return errors.New("want one URL")
	}
	f := fetch{url: rest[0], method: http.MethodGet, headers: long["header"], timeout: forever, failOnStatus: true}
	if data, ok := long["post-data"]; ok {
		f.method, f.body = http.MethodPost, data[0]
		f.headers = append([]string{"Content-Type: application/x-www-form-urlencoded"}, f.headers...)
	}
	_, f.insecure = long["no-check-certificate"]
	f.showHeaders = o.Has('S')
	if f.timeout, err = seconds(o['T'], long["timeout"]); err != nil {
		return err
	}
	if _, spider := long["spider"]; spider {
		f.out = io.Discard
		return f.do()
	}
	file := o['O']
	if name, ok := long["output-document"]; ok {
		file = name[0]
	}
	return f.into(file, path.Base(strings.TrimSuffix(f.url, "/")))
}

func (f fetch) into(file, otherwise string) error {
	if file == "-" {
		f.out = tool.Out
		return f.do()
	}
	if file == "" {
		if file = otherwise; strings.ContainsAny(file, ":.") && !strings.Contains(f.url, "/"+file) || file == f.url {
			file = "index.html"
		}
	}
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	f.out = w
	return errors.Join(f.do(), w.Close())
}

// Curl is curl [-s] [-S] [-f] [-k] [-i] [-I] [-L] [-v] [-X METHOD] [-H H] [-d DATA] [-o FILE] [-m SECONDS] [--unix-socket FILE] URL.
func Curl(args []string) error {
	args, long := longOptions(args, "header", "data", "request", "output", "max-time", "unix-socket", "connect-timeout")
	// -H may be given more than once, which the options map can't hold.
	var rest, headers []string
	for i := 0; i < len(args); i++ {
		if args[i] == "-H" && i+1 < len(args) {
			headers = append(headers, args[i+1])
			i++
			continue
		}
		rest = append(rest, args[i])
	}
	var urls []string
	o := tool.Options{}
	for len(rest) > 0 { // curl takes options after the URL
		some, left, err := tool.Parse(rest, "sSfkiILvX:d:o:m:w:")
		if err != nil {
			return err
		}
		for letter, value := range some {
			o[letter] = value
		}
		if rest = nil; len(left) > 0 {
			urls, rest = append(urls, left[0]), left[1:]
		}
	}
	if len(urls) != 1 {
		return errors.New("want one URL")
	}
	return curl(urls[0], o, long, append(headers, long["header"]...))
}

func curl(url string, o tool.Options, long map[string][]string, headers []string) (err error) {
	first := func(letter byte, name string) string {
		if v, ok := long[name]; ok && len(v) > 0 {
			return v[0]
		}
		return o[letter]
	}
	f := fetch{url: url, method: first('X', "request"), body: first('d', "data"), headers: headers,
		insecure: o.Has('k'), showHeaders: o.Has('i') || o.Has('I'), failOnStatus: o.Has('f'), unixSocket: first(0, "unix-socket")}
	if f.method == "" {
		f.method = http.MethodGet
		switch {
		case f.body != "":
			f.method = http.MethodPost
			f.headers = append([]string{"Content-Type: application/x-www-form-urlencoded"}, headers...)
		case o.Has('I'):
			f.method = http.MethodHead
		}
	}
	if f.timeout, err = seconds(first('m', "max-time"), nil); err != nil {
		return err
	}
	file := first('o', "output")
	if file == "" {
		file = "-"
	}
	return f.into(file, "")
}

func seconds(short string, long []string) (time.Duration, error) {
	if len(long) > 0 {
		short = long[0]
	}
	if short == "" {
		return forever, nil
	}
	n, err := strconv.ParseFloat(short, 64)
	return time.Duration(n * float64(time.Second)), err
}

// longOptions takes --name, --name=value and, for the names that have one,
// --name value out of the arguments.
func longOptions(args []string, withValue ...string) (rest []string, long map[string][]string) {
	long = map[string][]string{}
	for i := 0; i < len(args); i++ {
		word, ok := strings.CutPrefix(args[i], "--")
		if !ok || word == "" {
			rest = append(rest, args[i])
			continue
		}
		name, value, joined := strings.Cut(word, "=")
		if !joined && i+1 < len(args) && contains(withValue, name) {
			i++
			value = args[i]
		}
		long[name] = append(long[name], value)
	}
	return rest, long
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}

// Httpd is httpd [-f] [-v] [-p PORT] [-h DIR]: the files of a directory. It
// stays in the foreground.
func Httpd(args []string) error {
	o, _, err := tool.Parse(args, "fvp:h:")
	if err != nil {
		return err
	}
	port, dir := "80", "."
	if o.Has('p') {
		port = o['p']
	}
	if o.Has('h') {
		dir = o['h']
	}
	if !strings.Contains(port, ":") {
		port = ":" + port
	}
	return http.ListenAndServe(port, http.FileServer(http.Dir(dir)))
}
