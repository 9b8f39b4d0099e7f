package kubeletagree

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// fate is what a kubelet has written into a pod's status, without what is never the same:
// times, addresses, names of nodes, identifiers of containers. Left out here: the resources
// of a whole pod, with what upstream reads for them in its cgroup.
func (s *side) fate(p *corev1.Pod) map[string]string {
	status := &p.Status
	fate := map[string]string{
		"phase":    string(status.Phase),
		"reason":   status.Reason + ": " + s.plain(status.Message),
		"qos":      string(status.QOSClass),
		"node":     fmt.Sprintf("%d addresses of the node, %d of the pod", len(status.HostIPs), len(status.PodIPs)),
		"observed": fmt.Sprintf("generation %d of %d", status.ObservedGeneration, p.Generation),
		"resize":   string(status.Resize),
	}
	if status.StartTime != nil {
		fate["looked at"] = "yes"
	}
	if p.DeletionTimestamp != nil {
		fate["is"] = "to end"
	}
	for _, c := range status.Conditions {
		fate["condition "+string(c.Type)] = fmt.Sprintf("%s %s: %s (generation %d)", c.Status, c.Reason, s.plain(c.Message), c.ObservedGeneration)
	}
	for kind, statuses := range map[string][]corev1.ContainerStatus{
		"init container ": status.InitContainerStatuses, "container ": status.ContainerStatuses, "ephemeral container ": status.EphemeralContainerStatuses,
	} {
		var names []string
		for i := range statuses {
			c := &statuses[i]
			names = append(names, c.Name)
			of := kind + c.Name
			fate[of] = s.state(settled(c))
			if c.State.Running != nil {
				fate[of+", last"] = s.state(c.LastTerminationState)
			}
			fate[of+", is"] = fmt.Sprintf("ready %t, started %s, restarts %d, has an ID %t", c.Ready, told(c.Started), c.RestartCount, c.ContainerID != "")
			fate[of+", image"] = c.Image + " " + c.ImageID
			fate[of+", resources"] = told(c.AllocatedResources) + told(c.Resources)
			fate[of+", others"] = told(c.VolumeMounts) + told(c.User) + told(c.AllocatedResourcesStatus) + told(c.StopSignal)
		}
		fate[kind+"statuses"] = strings.Join(names, " ")
	}
	return fate
}

// settled is the state of a container, or how it ended if it is to be started again: whether
// a kubelet says of it that it waits depends on when it looked at it last.
func settled(c *corev1.ContainerStatus) corev1.ContainerState {
	again := []string{"CrashLoopBackOff", "RunContainerError", "PostStartHookError"}
	if w := c.State.Waiting; w != nil && slices.Contains(again, w.Reason) && c.LastTerminationState.Terminated != nil {
		return c.LastTerminationState
	}
	return c.State
}

func (s *side) state(state corev1.ContainerState) string {
	switch {
	case state.Waiting != nil:
		// As above: an image that is pulled again, or will be.
		reason := strings.Replace(state.Waiting.Reason, "ImagePullBackOff", "ErrImagePull", 1)
		return fmt.Sprintf("waiting %s: %s", reason, pulled.ReplaceAllString(s.plain(state.Waiting.Message), ""))
	case state.Running != nil:
		return "running"
	case state.Terminated != nil:
		t := state.Terminated
		code := fmt.Sprint(t.ExitCode)
		if slices.Contains([]int32{2, 137, 143}, t.ExitCode) {
			code = "of who was told to stop" // or killed: whether it was deaf already is chance
		}
		return fmt.Sprintf("terminated %s: %s, code %s, signal %d, started %t, has an ID %t",
			t.Reason, s.plain(t.Message), code, t.Signal, t.StartedAt.Unix() > 0, t.ContainerID != "")
	}
	return ""
}

// byChance: whether a probe meets a container that has just ended, or does not listen yet
// (decision 0008).
var byChance = regexp.MustCompile(`errored and resulted in unknown state|connection refused`)

// dropped is there when so many events were told of a pod that some may not have been.
const dropped = "more events"

// hear keeps what an event says, and not how often it was said.
func (s *side) hear(e *corev1.Event) {
	if e.Reason == "Unhealthy" && byChance.MatchString(e.Message) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pod := e.InvolvedObject.Name
	s.heard[pod]++
	if strings.HasSuffix(e.Message, "not registered") || e.Message == "Error: ImagePullBackOff" {
		return // upstream's cache of objects is not there yet; it is just being pulled, or not
	}
	if s.events[pod] == nil {
		s.events[pod] = map[string]string{}
	}
	about := strings.TrimSpace("event " + e.Reason + " " + e.InvolvedObject.FieldPath)
	said := strings.Split(s.events[pod][about], "\n        ")
	said = slices.DeleteFunc(said, func(line string) bool { return line == "" })
	line := e.Type + " " + e.Source.Component + ": " + s.plain(e.Message)
	if !slices.Contains(said, line) {
		said = append(said, line)
	}
	slices.Sort(said)
	s.events[pod][about] = strings.Join(said, "\n        ")
}

func told(of any) string {
	b, err := json.Marshal(of)
	if err != nil {
		return err.Error()
	}
	if text := string(b); text != "null" {
		return text
	}
	return ""
}

var (
	hash     = regexp.MustCompile(`\b[0-9a-f]{12,64}\b`)
	uid      = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	duration = regexp.MustCompile(`\b([0-9]+m)?[0-9.]+(ms|µs|s)\b`)
	address  = regexp.MustCompile(`\b10\.[0-9]+\.[0-9]+\.[0-9]+(:[0-9]+)?`)
	grpc     = regexp.MustCompile(`rpc error: code = [A-Za-z]+ desc = `) // one is behind a socket, one in the kubelet itself
	clock    = regexp.MustCompile(`\b[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9:]{8}\b`)
	access   = regexp.MustCompile(`(?m)^.*kube-probe.*\n`)
	pulled   = regexp.MustCompile(`Back-off pulling image "[^"]*": ErrImagePull: `)
	variable = regexp.MustCompile(`volumeMount "data" of container "[^"]*": subPathExpr .*: missing value for "NAME"`)
	subPath  = regexp.MustCompile(`(failed to prepare subPath for volumeMount "data" of container "[^"]*"): .*`)
	process  = regexp.MustCompile(`\bpid [0-9]+`)
)

// plain is a message without what cannot be the same, and without what ours says more.
func (s *side) plain(text string) string {
	text = strings.NewReplacer(s.node, "NODE", `"`+s.namespace+`"`, `"NAMESPACE"`, s.namespace+"/", "NAMESPACE/", "_"+s.namespace, "_NAMESPACE", "."+s.namespace+".svc", ".NAMESPACE.svc").Replace(text)
	for _, r := range []struct {
		of *regexp.Regexp
		as string
	}{{uid, "UID"}, {hash, "HASH"}, {address, "ADDRESS"}, {duration, "TIME"}, {process, "pid N"}, {grpc, ""}, {access, ""}, {clock, "NOW"}, {variable, "missing value for NAME"}, {subPath, "$1"}} {
		text = r.of.ReplaceAllString(text, r.as)
	}
	return text
}
