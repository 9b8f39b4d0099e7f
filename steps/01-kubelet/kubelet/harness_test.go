package kubelet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/admission"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/imagepull"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/internal/fakecri"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/lifecycle"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource/static"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

var update = flag.Bool("update", false, "write the transcripts anew; read the difference before you commit it")

// TestTranscripts plays the scripts in testdata: what a kubelet does, and when,
// with a fake runtime and a clock that leaps. Each line of a script is one of
//
//	program NAME key=value…   what the processes of image NAME do
//	apply FILE…               these files are the whole set of pods
//	run DURATION              let time pass
//	fail METHOD NAME [ERROR]  calls of a runtime method fail from now on; without ERROR they work again
//	result CONTAINER KIND RESULT   a probe of the container's present attempt has a new result
//	kill-sandbox POD
//	evict POD MESSAGE         the pod takes more than it may
//	end POD GRACE             the pod, whatever it is, has to end
//	stop, start               kill the kubelet; start one
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, archive)
			if *update {
				rewrite(t, file, archive, got)
				return
			}
			if want := content(archive, "want"); got != want {
				t.Errorf("transcript differs (go test -update writes it anew)\n--- got\n%s\n--- want\n%s", got, want)
			}
		})
	}
}

func content(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func rewrite(t *testing.T, file string, a *txtar.Archive, got string) {
	t.Helper()
	kept := a.Files[:0]
	for _, f := range a.Files {
		if f.Name != "want" {
			kept = append(kept, f)
		}
	}
	a.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

func play(t *testing.T, a *txtar.Archive) (transcript string) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, root, a)
		in := bufio.NewScanner(bytes.NewReader(a.Comment))
		for in.Scan() {
			line, _, _ := strings.Cut(in.Text(), "#")
			if words := strings.Fields(line); len(words) > 0 {
				s.do(words[0], words[1:])
			}
		}
		s.stop()
		transcript = settle(s.out.String())
	})
	return transcript
}

// settle puts the removal of sandboxes last among what happened at the same
// instant: a pod that has gone is removed beside all that its name's next owner
// does, in no order. And beside what others do who get its room it is released: that line
// goes to the end, too, or to where something is told of its name again.
func settle(transcript string) string {
	var out, removals []string
	instant, released, name := "", "", ""
	release := func() {
		if released != "" {
			out, released = append(out, released), ""
		}
	}
	for line := range strings.Lines(transcript) {
		words := strings.Fields(line)
		if words[0] != instant {
			release()
			out, removals, instant = append(out, removals...), nil, words[0]
		}
		switch {
		case strings.Contains(line, " RemovePodSandbox "):
			removals = append(removals, line)
			continue
		case slices.ContainsFunc(words, func(w string) bool { return w == name || strings.HasPrefix(w, name+"/") || w == name+":" }):
			release()
		}
		if strings.HasSuffix(line, " is released\n") {
			release()
			released, name = line, words[1]
			continue
		}
		out = append(out, line)
	}
	release()
	return strings.Join(append(out, removals...), "")
}

// A scene is a node with one kubelet after another.
type scene struct {
	t       *testing.T
	root    string
	archive *txtar.Archive
	runtime *fakecri.Runtime
	source  *static.Source
	pods    []*corev1.Pod
	probes  *fakeProbes
	kubelet *Kubelet
	stop    func()
	began   time.Time

	mu       sync.Mutex // guards the fields below
	out      strings.Builder
	last     string
	failures map[string]string
}

func newScene(t *testing.T, root string, a *txtar.Archive) *scene {
	s := &scene{t: t, root: root, archive: a, runtime: fakecri.New("web:v1", "crash:v1", "init:v1", "sidecar:v1"),
		began: time.Now(), failures: map[string]string{}}
	s.runtime.Log = func(method, name string) { s.say("%s %s", method, name) }
	s.runtime.Fail = func(method, name string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if message := s.failures[method+" "+name]; message != "" {
			return fmt.Errorf("%s", message)
		}
		return nil
	}
	s.start()
	return s
}

// start starts a kubelet.
func (s *scene) start() {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.source, s.probes = static.New(s.pods...), newFakeProbes()
	k := &Kubelet{
		Node: criconfig.Node{Name: "node-1", RootDir: s.root, PodLogsDir: filepath.Join(s.root, "logs"), ClusterDNS: []string{"10.96.0.10"}, CPUCFSQuota: true,
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")}},
		Sources: []podsource.Source{s.source}, Runtime: s.runtime,
		Images: &imagepull.Puller{Images: s.runtime, Events: s}, Volumes: volumes{scene: s}, Cgroups: noCgroups{},
		Probes: s.probes, Hooks: lifecycle.New(s.runtime), Status: s, Events: s,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	k.Admit = func(pod *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection {
		return admission.Admit(k.Node, 110, pod, others)
	}
	s.kubelet = k
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("kubelet ended: %v", err)
		}
	}
	synctest.Wait()
}

func (s *scene) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.out, "%8s  %s\n", time.Since(s.began).Round(10*time.Millisecond), fmt.Sprintf(format, args...))
}

func (s *scene) do(verb string, args []string) {
	switch verb {
	case "program":
		s.program(args[0], args[1:])
	case "apply":
		s.pods = nil
		for _, name := range args {
			s.pods = append(s.pods, s.pod(name))
		}
		s.say("-- apply %s", strings.Join(args, " "))
		s.source.Set(s.pods...)
	case "run":
		time.Sleep(s.duration(args[0]))
	case "fail":
		s.mu.Lock()
		s.failures[args[0]+" "+args[1]] = strings.Join(args[2:], " ")
		s.mu.Unlock()
	case "result":
		s.say("-- %s of %s: %s", args[1], args[0], args[2])
		s.probes.set(args[0], probe.Kind(args[1]), probe.Result(args[2]))
	case "kill-sandbox":
		s.say("-- kill sandbox of %s", args[0])
		s.runtime.KillSandbox(args[0])
	case "evict":
		s.say("-- evict %s", args[0])
		for _, pod := range s.kubelet.Pods() {
			if pod.Name == args[0] {
				s.kubelet.Evict(pod, strings.Join(args[1:], " "))
			}
		}
	case "end":
		s.say("-- end %s", args[0])
		for _, pod := range s.kubelet.Running() {
			if pod.Name == args[0] {
				grace := int64(s.duration(args[1]) / time.Second)
				s.kubelet.End(pod, grace, podstatus.Failure{Reason: "Terminated", Message: "shutdown"})
			}
		}
	case "stop":
		s.stop()
		s.say("-- kill the kubelet")
	case "start":
		s.say("-- start a kubelet")
		s.start()
	default:
		s.t.Fatalf("unknown verb %q", verb)
	}
	synctest.Wait()
}

func (s *scene) program(name string, settings []string) {
	p := fakecri.Program{}
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		switch key {
		case "runs":
			p.Runs = s.duration(value)
		case "stops-in":
			p.StopsIn = s.duration(value)
		case "deaf":
			p.Deaf = true
		case "memory":
			q := resource.MustParse(value)
			p.Memory = uint64(q.Value())
		case "exit":
			code, _ := strconv.Atoi(value)
			p.Exit = int32(code)
		case "hook-takes":
			d := s.duration(value)
			p.Exec = func(ctx context.Context, cmd []string) (string, int32, error) {
				select {
				case <-time.After(d):
					return "", 0, nil
				case <-ctx.Done():
					return "", 0, ctx.Err()
				}
			}
		case "hook-exit":
			p.Exec = func(context.Context, []string) (string, int32, error) { return "no", 1, nil }
		default:
			s.t.Fatalf("program %s: unknown setting %q", name, key)
		}
	}
	s.runtime.SetProgram(name+":v1", p)
}

func (s *scene) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *scene) pod(name string) *corev1.Pod {
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(content(s.archive, name)), pod); err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	pod.Namespace = "default"
	if pod.UID == "" {
		pod.UID = types.UID(pod.Name + "-uid")
	}
	return pod
}

// Record writes events into the transcript.
func (s *scene) Record(e event.Event) {
	where := e.Name
	if e.Container != "" {
		where += "/" + e.Container
	}
	s.say("%s: %s %q", where, e.Reason, e.Message)
}

// Set writes statuses into the transcript.
func (s *scene) Set(pod *corev1.Pod, status corev1.PodStatus) {
	line := pod.Name + " is " + string(status.Phase)
	if status.Reason != "" {
		line += " (" + status.Reason + ": " + status.Message + ")"
	}
	for _, c := range append(status.InitContainerStatuses, status.ContainerStatuses...) {
		line += "; " + c.Name + " " + brief(c.State)
		if c.Ready {
			line += " ready"
		}
		if c.RestartCount > 0 {
			line += " restarts=" + strconv.Itoa(int(c.RestartCount))
		}
		if c.LastTerminationState.Terminated != nil {
			line += " last=" + brief(c.LastTerminationState)
		}
		if cpu := c.AllocatedResources.Cpu(); !cpu.IsZero() {
			line += fmt.Sprintf(" cpu %v of %v memory %v", c.Resources.Requests.Cpu(), cpu, c.Resources.Limits.Memory())
		}
	}
	for _, c := range status.Conditions {
		if c.Type == corev1.PodResizePending || c.Type == corev1.PodResizeInProgress {
			line += fmt.Sprintf("; %s %s %s", c.Type, c.Reason, c.Message)
		}
	}
	s.mu.Lock()
	same := line == s.last
	s.last = line
	s.mu.Unlock()
	if !same {
		s.say("%s", line)
	}
}

// Released implements podstatus.Sink.
func (s *scene) Released(pod *corev1.Pod) { s.say("%s is released", pod.Name) }

func brief(state corev1.ContainerState) string {
	switch {
	case state.Running != nil:
		return "running"
	case state.Terminated != nil:
		return fmt.Sprintf("terminated(%s %d)", state.Terminated.Reason, state.Terminated.ExitCode)
	case state.Waiting.Message != "":
		return fmt.Sprintf("waiting(%s: %s)", state.Waiting.Reason, state.Waiting.Message)
	}
	return fmt.Sprintf("waiting(%s)", state.Waiting.Reason)
}

// volumes are none, and can't be mounted when a script says so: "fail Mount POD ERROR".
type volumes struct {
	noVolumes
	*scene
}

func (v volumes) Mount(_ context.Context, pod *corev1.Pod) (map[string]volume.Mounted, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if message := v.failures["Mount "+pod.Name]; message != "" {
		return nil, errors.New(message)
	}
	return nil, nil
}

type noVolumes struct{}

func (noVolumes) Mount(context.Context, *corev1.Pod) (map[string]volume.Mounted, error) {
	return nil, nil
}
func (noVolumes) SubPaths(*corev1.Pod, string, map[string]volume.Mounted) func(int, string, string) (string, error) {
	return nil
}
func (noVolumes) Unmount(context.Context, types.UID) error { return nil }

type noCgroups struct{}

func (noCgroups) Apply(*corev1.Pod) (string, error) { return "/kubepods/pod", nil }
func (noCgroups) Path(*corev1.Pod) string           { return "/kubepods/pod" }
func (noCgroups) Remove(types.UID) error            { return nil }

// fakeProbes has the results that a test gives it.
type fakeProbes struct {
	mu      sync.Mutex // guards the fields below
	ids     map[string]string
	results map[string]probe.Result
	updates chan probe.Update
}

func newFakeProbes() *fakeProbes {
	return &fakeProbes{ids: map[string]string{}, results: map[string]probe.Result{}, updates: make(chan probe.Update, 8)}
}

func (p *fakeProbes) Add(*corev1.Pod)                  {}
func (p *fakeProbes) StopLivenessAndStartup(types.UID) {}
func (p *fakeProbes) Remove(types.UID)                 {}
func (p *fakeProbes) Updates() <-chan probe.Update     { return p.updates }

func (p *fakeProbes) set(container string, kind probe.Kind, r probe.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results[p.ids[container]+string(kind)] = r
	p.updates <- probe.Update{Pod: "web-uid"}
}

func (p *fakeProbes) Result(kind probe.Kind, id string) (probe.Result, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.results[id+string(kind)]
	return r, ok
}

func (p *fakeProbes) Hurry(types.UID, *corev1.PodStatus) {}

func (p *fakeProbes) SetStarted(pod *corev1.Pod, status *corev1.PodStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range list {
			c := &list[i]
			p.ids[c.Name] = c.ContainerID
			started := c.State.Running != nil
			if spec := specOf(pod, c.Name); spec.StartupProbe != nil {
				started = started && p.results[c.ContainerID+string(probe.Startup)] == probe.Success
			}
			c.Started = &started
			c.Ready = started && p.results[c.ContainerID+string(probe.Readiness)] != probe.Failure ||
				c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
		}
	}
}
