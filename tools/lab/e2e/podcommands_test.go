package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/jsonpath"
)

// condition knows [v1], the node has cgroup hierarchies of version 1, and
// [seccomp], its runtime was built with libseccomp.
func (p *play) condition(name string) (bool, error) {
	switch name {
	case "v1":
		_, err := os.Stat("/sys/fs/cgroup/memory")
		return err == nil, nil
	case "seccomp":
		return !strings.Contains(p.kubeletLog(), "no seccomp: runtime-shim"), nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

type command = func(ts *testscript.TestScript, neg bool, args []string)

func (p *play) commands() map[string]command {
	return map[string]command{
		"manifest":     p.cmdManifest,
		"unmanifest":   p.cmdUnmanifest,
		"await":        p.cmdAwait,
		"get":          p.cmdGet,
		"logs":         p.cmdLogs,
		"await-logs":   p.cmdAwaitLogs,
		"kubelet-log":  p.cmdKubeletLog,
		"gone":         p.cmdGone,
		"fetch":        p.cmdFetch,
		"node":         p.cmdNode,
		"kill-kubelet": p.cmdKillKubelet,
	}
}

// usage ends a script that uses a command wrongly.
func usage(ts *testscript.TestScript, right bool, text string) {
	if !right {
		ts.Fatalf("usage: %s", text)
	}
}

func (p *play) cmdManifest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "manifest FILE…")
	for _, file := range args {
		to := p.manifest(ts.Getenv("SCRIPT"), file)
		temp := filepath.Join(filepath.Dir(to), "."+filepath.Base(to))
		ts.Check(os.WriteFile(temp, []byte(ts.ReadFile(file)), 0o600))
		ts.Check(os.Rename(temp, to))
	}
}

func (p *play) cmdUnmanifest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "unmanifest FILE…")
	for _, file := range args {
		ts.Check(os.Remove(p.manifest(ts.Getenv("SCRIPT"), file)))
	}
}

// poll asks until the answer satisfies, or the script's patience is at an end;
// then it fails with the last answer and the kubelet's last words on the pod.
func (p *play) poll(ts *testscript.TestScript, pod, what string, ask func() (answer string, ok bool)) {
	wait, err := time.ParseDuration(ts.Getenv("WAIT"))
	ts.Check(err)
	for deadline := time.Now().Add(wait); ; <-time.After(50 * time.Millisecond) {
		answer, ok := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %s %s: got %q\n%s", wait, what, answer, p.about(pod))
		}
	}
}

// about tells what is known of a pod: its status, and what the kubelet logged.
func (p *play) about(name string) string {
	var text strings.Builder
	if pod := p.pod(name); pod != nil {
		b, _ := json.Marshal(pod.(map[string]any)["status"])
		text.Write(b)
	}
	var about []string
	for line := range strings.Lines(p.kubeletLog()) {
		if strings.Contains(line, name) {
			about = append(about, line)
		}
	}
	text.WriteString("\nkubelet:\n" + strings.Join(about[max(0, len(about)-20):], ""))
	return text.String()
}

// logStart is the key of how long the kubelet's log was when a script began.
type logStart struct{}

func (p *play) kubeletLog() string {
	b, err := os.ReadFile(p.node.Path("/var/log/kubelet.log"))
	if err != nil {
		p.Errorf("the kubelet's log: %v", err)
	}
	return string(b)
}

// pod returns a pod as the kubelet shows it, or nil.
func (p *play) pod(name string) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.read) > 40*time.Millisecond {
		p.pods = nil
		var list struct{ Items []any }
		if body, err := p.fetch(context.Background(), "/pods"); err == nil && json.Unmarshal(body, &list) == nil {
			p.pods, p.read = list.Items, time.Now()
		}
	}
	for _, pod := range p.pods {
		got, _ := query("{.metadata.name}", pod)
		if got == name || got == name+"-"+p.node.Name {
			return pod
		}
	}
	return nil
}

// query evaluates a JSONPath template, or a path below .status.
func query(template string, pod any) (string, error) {
	if !strings.HasPrefix(template, "{") {
		template = "{.status." + template + "}"
	}
	path := jsonpath.New("").AllowMissingKeys(true)
	if err := path.Parse(template); err != nil {
		return "", err
	}
	var out bytes.Buffer
	err := path.Execute(&out, pod)
	return out.String(), err
}

func (p *play) cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "await POD PATH REGEXP")
	want, err := regexp.Compile("^(?s:" + args[2] + ")$")
	ts.Check(err)
	p.poll(ts, args[0], fmt.Sprintf("%s of %s, want %q", args[1], args[0], args[2]), func() (string, bool) {
		pod := p.pod(args[0])
		if pod == nil {
			return "no such pod", false
		}
		got, err := query(args[1], pod)
		ts.Check(err)
		return got, want.MatchString(got)
	})
}

func (p *play) cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 1, "get PATH POD…")
	for _, name := range args[1:] {
		pod := p.pod(name)
		if pod == nil {
			ts.Fatalf("no pod %s", name)
		}
		got, err := query(args[0], pod)
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), got)
	}
}

// logs fetches a container's log. The pod may have no such log yet.
func (p *play) logs(pod, container, query string) (string, error) {
	b, err := p.fetch(context.Background(), fmt.Sprintf("/containerLogs/%s/%s-%s/%s?%s", corev1.NamespaceDefault, pod, p.node.Name, container, query))
	return string(b), err
}

func (p *play) cmdLogs(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2 || len(args) == 3, "[!] logs POD CONTAINER [QUERY]")
	got, err := p.logs(args[0], args[1], strings.Join(args[2:], ""))
	p.outcome(ts, neg, got, err)
}

// outcome makes what a command got the script's stdout, or what went wrong its
// stderr, if that is what the script wants.
func (p *play) outcome(ts *testscript.TestScript, neg bool, got string, err error) {
	io.WriteString(ts.Stdout(), got)
	switch {
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	case err == nil && neg:
		ts.Fatalf("unexpected success: %s", got)
	case err != nil:
		fmt.Fprintln(ts.Stderr(), err)
	}
}

func (p *play) cmdAwaitLogs(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && (len(args) == 3 || len(args) == 4), "await-logs POD CONTAINER REGEXP [N]")
	want, err := regexp.Compile("(?m:" + args[2] + ")")
	ts.Check(err)
	n := 1
	if len(args) == 4 {
		_, err = fmt.Sscan(args[3], &n)
		ts.Check(err)
	}
	p.poll(ts, args[0], fmt.Sprintf("log of %s, want %q", args[0], args[2]), func() (string, bool) {
		got, err := p.logs(args[0], args[1], "")
		if err != nil {
			return err.Error(), false
		}
		return got, len(want.FindAllString(got, n)) == n
	})
}

func (p *play) cmdKubeletLog(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "kubelet-log REGEXP")
	want, err := regexp.Compile("(?m:" + args[0] + ")")
	ts.Check(err)
	start := ts.Value(logStart{}).(int)
	p.poll(ts, ts.Getenv("SCRIPT"), fmt.Sprintf("kubelet's log, want %q", args[0]), func() (string, bool) {
		log := p.kubeletLog()
		return "no such line", want.MatchString(log[min(start, len(log)):])
	})
}

func (p *play) cmdGone(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "gone POD")
	p.poll(ts, args[0], args[0]+" should be gone", func() (string, bool) {
		return "it is there", p.pod(args[0]) == nil && p.answers()
	})
}

// answers says whether the last question to the kubelet was answered.
func (p *play) answers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pods != nil
}

// fetch gets a path of the kubelet, or a URL.
func (p *play) fetch(ctx context.Context, url string) ([]byte, error) {
	if strings.HasPrefix(url, "/") {
		url = p.node.Kubelet() + url
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return b, err
}

func (p *play) cmdFetch(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, "[!] fetch PATH|URL")
	b, err := p.fetch(context.Background(), args[0])
	p.outcome(ts, neg, string(b), err)
}

func (p *play) cmdNode(ts *testscript.TestScript, neg bool, args []string) {
	cmd := p.command(append([]string{"shell", p.node.Name, "--"}, args...)...)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if err := cmd.Run(); (err != nil) != neg {
		ts.Fatalf("node %s: %v", strings.Join(args, " "), err)
	}
}

func (p *play) cmdKillKubelet(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "kill-kubelet")
	kubelet := func() (pid int) {
		services, err := p.node.Services()
		ts.Check(err)
		for _, s := range services {
			if s.Name == "kubelet" {
				pid = s.PID
			}
		}
		return pid
	}
	before := kubelet()
	p.cmdNode(ts, false, []string{"kill", "-9", fmt.Sprint(before)})
	p.poll(ts, "", "a new kubelet", func() (string, bool) {
		_, err := p.fetch(context.Background(), "/healthz")
		return fmt.Sprint(err), err == nil && kubelet() != before
	})
}
