package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/k8s-groundup/groundup/tools/lab/place"
	"github.com/spf13/cobra"
)

// paper is a place whose machines write down what they are asked, with what they
// read, and say what a lab there would say.
type paper struct {
	t       *testing.T
	asked   string // a file, a line a command
	address func(n int) string
}

func newPaper(t *testing.T, address func(int) string) paper {
	return paper{t, filepath.Join(t.TempDir(), "asked"), address}
}

func (p paper) Up(n int) *exec.Cmd {
	return exec.Command("sh", "-c", fmt.Sprintf("echo machines %d >>%s", n, p.asked))
}
func (p paper) Down() *exec.Cmd { return exec.Command("true") }
func (p paper) Address(n int) string {
	return p.address(n)
}

func (p paper) Command(n int, _ bool, argv ...string) *exec.Cmd {
	const script = `
asked=$1 n=$2; shift 3
case "$*" in *'--join -') read -r given ;; esac
echo "$n: $*${given:+ < $given}" >>"$asked"
case $1 in
invite) echo "for $2" ;;
address) echo 192.168.104.$n ;;
pods) [ "$n" = 3 ] ;; # the pod is there
kubeconfig) echo /etc/admin.conf ;;
/etc/admin.conf) echo '{clusters: [{name: k, cluster: {server: "https://10.99.0.1:6443"}}]}' ;;
esac`
	return exec.Command("sh", append([]string{"-c", script, "sh", p.asked, fmt.Sprint(n)}, argv...)...)
}

// lines are what was asked so far.
func (p paper) lines() []string {
	p.t.Helper()
	b, err := os.ReadFile(p.asked)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// forwarding is paper with a port of this computer.
type forwarding struct{ paper }

func (forwarding) APIServer() string { return "127.0.0.1:6443" }

func TestKubeconfigOfThisComputer(t *testing.T) {
	p := newPaper(t, nil)
	var out strings.Builder
	m := cluster3(p, 2)
	if err := m.kubeconfig(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "lab kubectl") {
		t.Errorf("where nothing is forwarded: got %v, want another way", err)
	}
	m.Place, m.home = forwarding{p}, t.TempDir()
	if err := m.kubeconfig(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); !strings.Contains(got, "server: https://127.0.0.1:6443\n") {
		t.Errorf("got %s, want the forwarded port", got)
	}
}

func cluster3(p paper, step int) *there {
	return &there{Place: p, record: place.Record{On: "paper", Step: step, Nodes: 3}}
}

func TestMachinesJoinTheFirst(t *testing.T) {
	known := func(n int) string { return fmt.Sprintf("10.99.0.%d", n) }
	for _, c := range []struct {
		name    string
		address func(int) string
		want    []string
	}{
		{"at addresses that the place gives", known, []string{
			"1: up 07 --no-build --on host --address 10.99.0.1",
			"1: invite node-2 --address 10.99.0.2",
			"2: up 07 --no-build --on host --join - < for node-2",
			"1: invite node-3 --address 10.99.0.3",
			"3: up 07 --no-build --on host --join - < for node-3",
		}},
		{"at addresses that only they know", func(int) string { return "" }, []string{
			"1: up 07 --no-build --on host",
			"2: address",
			"1: invite node-2 --address 192.168.104.2",
			"2: up 07 --no-build --on host --join - < for node-2",
			"3: address",
			"1: invite node-3 --address 192.168.104.3",
			"3: up 07 --no-build --on host --join - < for node-3",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPaper(t, c.address)
			if err := cluster3(p, 7).nodes(t.Context(), io.Discard, 1); err != nil {
				t.Fatal(err)
			}
			if got := p.lines(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What a command is about decides which machine it runs in.
func TestWhichMachine(t *testing.T) {
	for _, c := range []struct {
		line        string
		first, last int
	}{
		{"status", 1, 3},
		{"pods", 1, 3},
		{"pods web-node-2", 2, 2},
		{"pods web", 3, 3}, // where it is found
		{"xray web", 3, 3},
		{"shell node-2 -- ls", 2, 2},
		{"logs kubelet --node node-3", 3, 3},
		{"get /healthz", 1, 1},
		{"kubectl get node node-2", 1, 1}, // about node-2, but of the API server
		{"verify", 1, 1},
		{"renew", 1, 1},
	} {
		t.Run(c.line, func(t *testing.T) {
			line := strings.Fields(c.line)
			args := line[1:]
			if len(args) > 1 {
				args = nil // with flags of its own
			}
			cmd := &cobra.Command{Use: line[0]}
			cmd.SetContext(t.Context())
			first, last := cluster3(newPaper(t, nil), 2).machines(cmd, args, line)
			if first != c.first || last != c.last {
				t.Errorf("got machines %d to %d, want %d to %d", first, last, c.first, c.last)
			}
		})
	}
}

// A command of this machine alone says so, and does nothing, when the cluster is
// elsewhere.
func TestHereOnly(t *testing.T) {
	home := t.TempDir()
	t.Setenv("GROUNDUP_HOME", home)
	t.Setenv("GROUNDUP_REPO", t.TempDir())
	done := 0
	parent := &cobra.Command{Use: "etcd"}
	child := &cobra.Command{Use: "defrag", RunE: func(*cobra.Command, []string) error { done++; return nil }}
	parent.AddCommand(child)
	hereOnly(parent)
	if err := child.RunE(child, nil); err != nil || done != 1 {
		t.Errorf("here: got %v, done %d times", err, done)
	}
	if err := (place.Record{On: "lima", Step: 2, Nodes: 1}).Write(home); err != nil {
		t.Fatal(err)
	}
	if err := child.RunE(child, nil); err == nil || !strings.Contains(err.Error(), "runs on lima") || done != 1 {
		t.Errorf("there: got %v, done %d times", err, done)
	}
}
