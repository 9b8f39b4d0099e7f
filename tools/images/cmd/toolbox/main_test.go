package main

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is the toolbox, too. It is a test only under its own name:
// links to it and /proc/self/exe run main, or a script could start all tests
// again, and these its scripts.
func TestMain(m *testing.M) {
	if !strings.HasSuffix(filepath.Base(os.Args[0]), ".test") {
		main()
		return
	}
	os.Exit(m.Run())
}

// bin makes a directory with a link for every program.
func bin(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name := range programs() {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// command runs in an empty directory and finds nothing but the toolbox.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	dir := bin(t)
	c := exec.CommandContext(t.Context(), filepath.Join(dir, args[0]), args[1:]...)
	c.Dir = t.TempDir()
	c.Env = []string{"PATH=" + dir, "HOME=/root", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	return c
}

func run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	c := command(t, args...)
	raw, err := c.CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(raw), failed.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), 0
}

func TestScripts(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
		code               int
	}{
		// what critest runs in containers
		{"hello", `echo -n hello`, "hello", 0},
		{"list", `mkdir d && touch d/.hidden d/f && ls -A d`, ".hidden\nf\n", 0},
		{"pgrep", `s=2.7; sleep ${s}5 & sleep 0.2; pgrep -f "sleep ${s}5" | wc -l`, "1\n", 0},
		{"pgrep by expression", `s=2.8; sleep ${s}5 & sleep 0.2; pgrep -f "^sleep ${s}5$" | wc -l`, "1\n", 0},
		{"pgrep or true", `pgrep nothing-of-this-name || true`, "", 0},
		{"loop", `for i in 1 2 3; do echo log; done`, "log\nlog\nlog\n", 0},
		{"while", `while [ ! -f pid ]; do echo 7 > pid; done && cat pid`, "7\n", 0},
		{"mkdir -p", `mkdir -p a/b/c && test -d a/b/c && echo yes`, "yes\n", 0},
		{"grep -q", `echo "touch: Read-only file system" 2>&1 | grep -q "Read-only file system"`, "", 0},
		{"grep fails", `echo x | grep -q y`, "", 1},
		{"grep a field", `grep Seccomp: /proc/self/status | wc -l`, "1\n", 0},
		{"dd", `dd if=/dev/zero of=/dev/null bs=1M count=3 2>/dev/null; echo $?`, "0\n", 0},
		{"id", `echo $(id -u):$(id -g)`, "0:0\n", 0},
		{"id -nu", `id -nu`, "root\n", 0},
		{"found", `touch test.go && [ -f test.go ] && echo 'Found'`, "Found\n", 0},
		{"sleep infinity", `timeout 0.1 sleep infinity; echo $?`, "124\n", 0},
		{"pidof and more", `pidof nothing-of-this-name "||" true`, "", 1},
		{"ipcs", `ipcs -m | head -n 1`, "------ Shared Memory Segments --------\n", 0},
		{"netstat", `netstat -ln | head -n 1 | cut -c 1-5`, "Proto\n", 0},
		{"master", `cat /proc/self/cmdline | grep -c "master process"`, "0\n", 1},

		// the shell
		{"exit code", `exit 3`, "", 3},
		{"not found", `no-such-program 2>&1 | sed 's|.*/||'`, "sh: no-such-program: not found\n", 0},
		{"exit code of what is not found", `no-such-program 2>/dev/null`, "", 127},
		{"not executable", `touch f; ./f 2>&1 | sed 's|.*/sh|sh|'`, "sh: ./f: Permission denied\n", 0},
		{"exit code of what is not executable", `touch f; PATH=$PWD f 2>/dev/null`, "", 126},
		{"function", `f() { echo "$1-$2"; }; f a b`, "a-b\n", 0},
		{"here document", "cat <<E\nx $((1+2))\nE", "x 3\n", 0},
		{"pipe", `seq 3 | sort -r | tr '\n' ' '`, "3 2 1 ", 0},
		{"redirect", `echo a > f; echo b >> f; cat f`, "a\nb\n", 0},
		{"case", `case abc in a*) echo yes;; esac`, "yes\n", 0},
		{"trap at exit", `trap 'echo bye' EXIT; echo hi`, "hi\nbye\n", 0},
		{"trapped signal", `trap 'echo got; exit 5' TERM; kill -TERM $$; while true; do sleep 1; done`, "got\n", 5},
		{"ignored signal", `trap '' TERM; kill -TERM $$; echo alive`, "alive\n", 0},

		// text
		{"head", `seq 20 | head -n 2`, "1\n2\n", 0},
		{"head of zero", `seq 20 | head -n 0`, "", 0},
		{"tail", `seq 20 | tail -2`, "19\n20\n", 0},
		{"tail from", `seq 4 | tail -n +3`, "3\n4\n", 0},
		{"wc", `printf 'a b\nc\n' | wc`, "2 3 6\n", 0},
		{"cut", `printf 'a:b:c\n' | cut -d: -f1,3`, "a:c\n", 0},
		{"tr class", `echo Hello | tr '[:lower:]' '[:upper:]'`, "HELLO\n", 0},
		{"tr delete", `echo hello | tr -d l`, "heo\n", 0},
		{"sort by number", `printf '10 a\n9 b\n' | sort -n -k 1`, "9 b\n10 a\n", 0},
		{"uniq", `printf 'a\na\nb\n' | uniq -c | tr -d ' '`, "2a\n1b\n", 0},
		{"sed", `echo 'a.b.c' | sed 's/\./-/g'`, "a-b-c\n", 0},
		{"sed group", `echo 'key=value' | sed -E 's/(.*)=(.*)/\2 \1/'`, "value key\n", 0},
		{"sed lines", `seq 5 | sed -n '2,3p;$p'`, "2\n3\n5\n", 0},
		{"sed delete", `seq 3 | sed /2/d`, "1\n3\n", 0},
		{"sed in place", `echo a > f; sed -i s/a/b/ f; cat f`, "b\n", 0},
		{"grep basic", `printf 'a+b\naab\n' | grep 'a+b'`, "a+b\n", 0},
		{"grep extended", `printf 'a+b\naab\n' | grep -E 'a+b'`, "aab\n", 0},
		{"grep -vn", `seq 3 | grep -vn 2`, "1:1\n3:3\n", 0},
		{"tee", `echo x | tee a b && cat a b`, "x\nx\nx\n", 0},
		{"xargs", `seq 3 | xargs echo`, "1 2 3\n", 0},

		// files
		{"links", `echo x > f; ln -s f l; ln f h; readlink l; stat -c %h f`, "f\n2\n", 0},
		{"modes", `touch f; chmod 640 f; stat -c '%a %F' f`, "640 regular file\n", 0},
		{"owner", `touch f; chown 1000:50 f; stat -c %u:%g f`, "1000:50\n", 0},
		{"find", `mkdir -p a/b; touch a/b/f; find . -name f`, "a/b/f\n", 0},
		{"copy and move", `echo x > f; cp f g; mv g h; cat h; rm f h; ls`, "x\n", 0},
		{"fifo", `mkfifo p; echo x > p & cat p`, "x\n", 0},
		{"truncate", `truncate -s 2k f; stat -c %s f`, "2048\n", 0},
		{"no such file", `cat nothing`, "cat: nothing: No such file or directory\n", 1},
		{"errors", `rm a b`, "rm: a: No such file or directory\n", 1},
		{"redirected to a directory", `echo x > /`, "sh: /: Is a directory\n", 1},
		{"mode of nothing", `chmod 600 a b`, "chmod: a: No such file or directory\nchmod: b: No such file or directory\n", 1},
		{"mkdir twice", `mkdir -m 700 a; stat -c %a a; mkdir a`, "700\nmkdir: a: File exists\n", 1},
		{"mkdir of a file", `touch a; mkdir -p b/c a`, "mkdir: a: Not a directory\n", 1},
		{"base name", `basename /a/b.txt .txt; dirname /a/b`, "b\n/a\n", 0},
		{"tar", `mkdir d; echo x > d/f; tar -cf t.tar d; rm -rf d; tar -xf t.tar .; cat d/f`, "x\n", 0},

		// the system
		{"env", `A=1 env | grep ^A=`, "A=1\n", 0},
		{"empty env", `env -i A=1 /proc/self/exe env`, "A=1\n", 0},
		{"date", `date -u +%Y | grep -c 20`, "1\n", 0},
		{"sysctl", `sysctl -n kernel.ostype`, "Linux\n", 0},
		{"uname", `uname -s`, "Linux\n", 0},
		{"kill zero", `kill -0 $$ && echo here`, "here\n", 0},
		{"which", `which no-such-program`, "", 1},
		{"stress", `stress -c 1 -m 1Mi -t 0.1s 2>/dev/null; echo $?`, "0\n", 0},
		{"stress as stress(1) has it", `stress --vm 2 --vm-bytes 1M --vm-hang 1 --timeout 0.1s 2>&1`, "holding 2097152 bytes\n", 0},
		{"top", `top -n 1 | grep -c '^ *PID'`, "1\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if out, code := run(t, "sh", "-c", c.script); out != c.want || code != c.code {
				t.Errorf("sh -c %q: got %q, code %d; want %q, code %d", c.script, out, code, c.want, c.code)
			}
		})
	}
}

func TestPrograms(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"echo", "-n", "a", "$HOME", "*"}, "a $HOME *", 0},
		{[]string{"printf", "%s-%d\n", "a", "7"}, "a-7\n", 0},
		{[]string{"test", "-d", "/"}, "", 0},
		{[]string{"[", "a", "=", "b", "]"}, "", 1},
		{[]string{"false"}, "", 1},
		{[]string{"sh", "-c", `echo "$1"`, "sh", "first"}, "first\n", 0},
		{[]string{"ping", "-c", "1", "-W", "2", "127.0.0.1"}, "", 0},
		{[]string{"ip", "addr"}, "", 0},
	} {
		out, code := run(t, c.args...)
		if code != c.code || c.want != "" && out != c.want {
			t.Errorf("%q: got %q, code %d; want %q, code %d", c.args, out, code, c.want, c.code)
		}
	}
}

func TestInteractiveShell(t *testing.T) {
	c := command(t, "sh", "-i")
	c.Stdin = strings.NewReader("X=1\nif true; then\necho a$X\nfi\nexit 4\n")
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); !ok || failed.ExitCode() != 4 || out.String() != "a1\n" {
		t.Errorf("got %q, %v; want a1 and exit status 4", out.String(), err)
	}
}

// Programs that write to a shell's input one line at a time wait for the
// answer to each.
func TestShellAnswersEachLine(t *testing.T) {
	c := command(t, "sh")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(out)
	for _, word := range []string{"one\n", "two\n"} {
		if _, err := in.Write([]byte("echo " + word)); err != nil {
			t.Fatal(err)
		}
		if got, err := answers.ReadString('\n'); err != nil || got != word {
			t.Fatalf("got %q, %v; want %q", got, err, word)
		}
	}
	in.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func TestHTTPClients(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		_ = r.ParseForm()
		_, _ = w.Write([]byte(r.Method + " " + r.Header.Get("X-Test") + r.PostForm.Get("ok")))
	}))
	defer server.Close()
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"wget", "-q", "-O", "-", server.URL}, "GET ", 0},
		{[]string{"wget", "-qO-", "--header", "X-Test: a", server.URL}, "GET a", 0},
		{[]string{"wget", "-qO-", "--post-data", "ok=false", server.URL}, "POST false", 0},
		{[]string{"wget", "-q", "--spider", server.URL + "/missing"}, "wget: server answered 404 Not Found\n", 1},
		{[]string{"curl", "-s", server.URL, "-H", "X-Test: b"}, "GET b", 0},
		{[]string{"curl", "-s", "-X", "POST", server.URL + "/?ok=1"}, "POST ", 0},
		{[]string{"curl", "-sf", server.URL + "/missing"}, "curl: server answered 404 Not Found\n", 1},
		{[]string{"nc", "-z", "127.0.0.1", server.URL[strings.LastIndex(server.URL, ":")+1:]}, "", 0},
	} {
		if out, code := run(t, c.args...); out != c.want || code != c.code {
			t.Errorf("%q: got %q, code %d; want %q, code %d", c.args, out, code, c.want, c.code)
		}
	}
}

func TestNetcatTalks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		buffer := make([]byte, 8)
		n, _ := c.Read(buffer)
		_, _ = c.Write(bytes.ToUpper(buffer[:n]))
		c.Close()
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	c := command(t, "nc", host, port)
	c.Stdin = strings.NewReader("hello\n")
	if out, err := c.Output(); err != nil || string(out) != "HELLO\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestShellStopsOnTerm(t *testing.T) {
	c := command(t, "sh", "-c", "echo up; sleep 100")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := syscall.Kill(-c.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v; want an end by the signal at once", err, time.Since(start))
	}
}
