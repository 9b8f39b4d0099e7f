package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/thread"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/jsonpath"
)

var runningHome = flag.String("home", "", "play the pod scripts on the cluster that runs with this `GROUNDUP_HOME`, and leave it running")

// TestMain makes this binary a client of the kubelet too, which the scripts
// start in the learner's network, and lets many scripts wait at the same time.
func TestMain(m *testing.M) {
	testscript.Main(patient{m}, map[string]func(){"kubelet-exec": execMain, "kubelet-forward": forwardMain})
}

type patient struct{ *testing.M }

func (p patient) Run() int {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set("12") // a script waits more than it works
	}
	return p.M.Run()
}

// TestPods plays the scripts in testdata/pods, each on a few pods of its own, on
// one cluster: every field of a pod that this kubelet honours, and how it says
// no to the others. The scripts in testdata/pods/alone follow, one by one,
// because they kill the kubelet. Their commands are those of testscript and:
//
//	manifest FILE…               put the files into the kubelet's manifest directory
//	unmanifest FILE…             take them away
//	await POD PATH REGEXP        until PATH (JSONPath below .status, or any in braces) is that
//	get PATH POD…                what it is now, on stdout
//	[!] logs POD CONTAINER [QUERY]        the log, on stdout
//	await-logs POD CONTAINER REGEXP [N]   until the log has that (N times)
//	kubelet-log REGEXP           until the kubelet has logged a line with that since the script began
//	gone POD                     until the kubelet has forgotten the pod
//	[!] fetch PATH|URL           from the kubelet's server, or a pod's
//	node COMMAND…                in the node, as root
//	kill-kubelet                 with signal 9; then until a new one serves
//	exec kubelet-exec [-spdy] POD CONTAINER COMMAND…
//	exec kubelet-forward POD PORT PATH
//
// A pod is named as in its manifest. Waits end after $WAIT (20s).
func TestPods(t *testing.T) {
	if *runningHome != "" {
		repo, err := filepath.Abs("../../..")
		if err != nil {
			t.Fatal(err)
		}
		playPods(learner{t, repo, *runningHome})
		return
	}
	onOwnNetwork(t, func(l learner) {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(lo); err != nil { // for port-forward's listener
			t.Fatal(err)
		}
		l.lab("up", "01")
		playPods(l)
	})
}

func playPods(l learner) {
	p, err := newPlay(l)
	if err != nil {
		l.Fatal(err)
	}
	params := testscript.Params{Setup: p.setup, Cmds: p.commands(), Condition: p.condition}
	l.Run("together", func(t *testing.T) {
		params.Files = scripts(t, "testdata/pods/*.txtar")
		testscript.Run(t, params)
	})
	l.Run("alone", func(t *testing.T) {
		for _, file := range scripts(t, "testdata/pods/alone/*.txtar") {
			params.Files = []string{file}
			t.Run("", func(t *testing.T) { testscript.Run(t, params) })
		}
	})
	p.nothingLeft()
}

func scripts(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no scripts: %v", pattern, err)
	}
	return files
}

// A play is the cluster as the scripts use it.
type play struct {
	learner
	node    cluster.Node
	network netns.NsHandle
	known   map[string]string // scripts of known defects, with the reason
	client  *http.Client

	mu   sync.Mutex // guards the fields below
	pods []any
	read time.Time
}

func newPlay(l learner) (*play, error) {
	c := &cluster.Cluster{Home: l.home}
	p := &play{learner: l}
	var err error
	if p.node, err = c.Node(1); err != nil {
		return nil, err
	}
	if p.network, err = netns.Get(); err != nil {
		return nil, err
	}
	admin, err := tls.LoadX509KeyPair(filepath.Join(l.home, "pki/admin.crt"), filepath.Join(l.home, "pki/admin.key"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(l.home, "pki/ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	p.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext:     p.dial,
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{admin}},
	}}
	if p.known, err = readKnown("testdata/pods/known.txt"); err != nil {
		return nil, err
	}
	return p, nil
}

// readKnown reads lines of a script's name and why it fails.
func readKnown(file string) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, reason, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			known[name] = strings.TrimSpace(reason)
		}
	}
	return known, nil
}

// dial connects from within the learner's network, whatever thread asks.
func (p *play) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = thread.Run(func() error {
		if err := netns.Set(p.network); err != nil {
			return err
		}
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// setup puts a script's thread into the learner's network, for good: it ends
// with the script.
func (p *play) setup(env *testscript.Env) error {
	name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	if reason, ok := p.known[name]; ok {
		env.T().Skip("known: ", reason)
	}
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		return fmt.Errorf("a script got the first thread, which has to stay as it is")
	}
	if err := netns.Set(p.network); err != nil {
		return err
	}
	env.Setenv("WAIT", "20s")
	env.Setenv("SCRIPT", name)
	env.Setenv("NODE", p.node.Name)
	env.Setenv("NODE_IP", p.node.IP)
	env.Setenv("NODE_PID", fmt.Sprint(p.node.PID))
	env.Setenv("KUBELET", p.node.Kubelet())
	env.Setenv("PKI", filepath.Join(p.home, "pki"))
	env.Values[logStart{}] = len(p.kubeletLog())
	env.Defer(func() {
		files, _ := filepath.Glob(p.manifest(name, "*"))
		for _, f := range files {
			os.Remove(f)
		}
	})
	return nil
}

// manifest is the path of a script's manifest, under a name of the script's own.
func (p *play) manifest(script, file string) string {
	return p.node.Path(filepath.Join("/etc/kubernetes/manifests", script+"."+file))
}

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

// nothingLeft holds that the scripts' pods leave nothing in the node.
func (p *play) nothingLeft() {
	p.Helper()
	var left string
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
		if left = p.leftovers(); left == "" {
			return
		}
	}
	p.Errorf("left in the node:\n%s", left)
}

// leftovers lists the pods, cgroups and mounts beside those of the step's own
// pod, web.
func (p *play) leftovers() string {
	var left []string
	web := p.pod("web")
	uid, err := query("{.metadata.uid}", web)
	if err != nil {
		return fmt.Sprintf("no pod web: %v", err)
	}
	p.mu.Lock()
	for _, pod := range p.pods {
		if name, _ := query("{.metadata.name}", pod); name != "web-"+p.node.Name {
			left = append(left, "pod "+name)
		}
	}
	p.mu.Unlock()
	for _, pattern := range []string{"/sys/fs/cgroup/*/kubepods/*/pod*", "/sys/fs/cgroup/*/kubepods/pod*", "/var/lib/kubelet/pods/*"} {
		found, _ := filepath.Glob(p.node.Path(pattern))
		for _, f := range found {
			if !strings.HasSuffix(f, uid) {
				left = append(left, f)
			}
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.node.PID))
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(mounts)) {
		if on := strings.Fields(line)[4]; strings.HasPrefix(on, "/var/lib/kubelet/pods/") && !strings.Contains(on, uid) {
			left = append(left, "mount on "+on)
		}
	}
	return strings.Join(left, "\n")
}
