package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
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
