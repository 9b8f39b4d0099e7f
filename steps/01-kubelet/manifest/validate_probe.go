package manifest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) probe(probe *corev1.Probe, p *field.Path) {
	if probe == nil {
		return
	}
	f.handler(handler{exec: probe.Exec, get: probe.HTTPGet, tcp: probe.TCPSocket, grpc: probe.GRPC}, p)
	for _, n := range []struct {
		field string
		value int32
	}{{"initialDelaySeconds", probe.InitialDelaySeconds}, {"timeoutSeconds", probe.TimeoutSeconds}, {"periodSeconds", probe.PeriodSeconds},
		{"successThreshold", probe.SuccessThreshold}, {"failureThreshold", probe.FailureThreshold}} {
		f.atLeastZero(p.Child(n.field), int64(n.value))
	}
	if g := probe.TerminationGracePeriodSeconds; g != nil && *g <= 0 {
		f.invalid(p.Child("terminationGracePeriodSeconds"), *g, "must be greater than 0")
	}
}

// mustBeOne: what restarts a container on failure can't ask for several
// successes before it believes one.
func (f *findings) mustBeOne(probe *corev1.Probe, p *field.Path) {
	if probe != nil && probe.SuccessThreshold != 1 {
		f.invalid(p.Child("successThreshold"), probe.SuccessThreshold, "must be 1")
	}
}

func (f *findings) hook(h *corev1.LifecycleHandler, grace *int64, p *field.Path) {
	if h != nil {
		f.handler(handler{exec: h.Exec, get: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep, grace: grace}, p)
	}
}

// A handler is what probes and hooks can do.
type handler struct {
	exec  *corev1.ExecAction
	get   *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
	grace *int64 // bounds sleep
}

func (f *findings) handler(h handler, p *field.Path) {
	found := 0
	first := func(is bool, name string) bool {
		if !is {
			return false
		}
		if found++; found > 1 {
			f.forbidden(p.Child(name), "may not specify more than 1 handler type")
		}
		return found == 1
	}
	if first(h.exec != nil, "exec") && len(h.exec.Command) == 0 {
		f.required(p.Child("exec", "command"), "")
	}
	if first(h.get != nil, "httpGet") {
		f.get(h.get, p.Child("httpGet"))
	}
	if first(h.tcp != nil, "tcpSocket") {
		f.port(h.tcp.Port, p.Child("tcpSocket", "port"))
	}
	if first(h.grpc != nil, "grpc") {
		f.port(intstr.FromInt32(h.grpc.Port), p.Child("grpc", "port"))
	}
	if first(h.sleep != nil, "sleep") && h.grace != nil && (h.sleep.Seconds < 0 || h.sleep.Seconds > *h.grace) {
		f.invalid(p.Child("sleep"), h.sleep.Seconds,
			fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *h.grace))
	}
	if found == 0 {
		f.required(p, "must specify a handler type")
	}
}

func (f *findings) get(g *corev1.HTTPGetAction, p *field.Path) {
	if g.Path == "" {
		f.required(p.Child("path"), "")
	}
	f.port(g.Port, p.Child("port"))
	someOf(f, p.Child("scheme"), g.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
	for _, h := range g.HTTPHeaders {
		f.invalid(p.Child("httpHeaders"), h.Name, validation.IsHTTPHeaderName(h.Name)...)
	}
}

func (f *findings) port(port intstr.IntOrString, p *field.Path) {
	if port.Type == intstr.Int {
		f.invalid(p, port.IntValue(), validation.IsValidPortNum(port.IntValue())...)
		return
	}
	f.invalid(p, port.StrVal, validation.IsValidPortName(port.StrVal)...)
}
