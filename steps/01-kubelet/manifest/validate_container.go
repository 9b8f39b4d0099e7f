package manifest

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) containers(spec *corev1.PodSpec, volumes map[string]corev1.Volume, p *field.Path) {
	if len(spec.Containers) == 0 {
		f.required(p, "")
		return
	}
	names := sets.New[string]()
	for i := range spec.Containers {
		c, at := &spec.Containers[i], p.Index(i)
		f.container(spec, c, volumes, at)
		if names.Has(c.Name) {
			f.duplicate(at.Child("name"), c.Name)
		}
		names.Insert(c.Name)
		f.life(spec, c, at)
		f.restart(c, at)
	}
	f.hostPorts(spec.Containers, p)
}

func (f *findings) initContainers(spec *corev1.PodSpec, volumes map[string]corev1.Volume, p *field.Path) {
	names := sets.New[string]()
	for _, c := range spec.Containers {
		names.Insert(c.Name)
	}
	for i := range spec.InitContainers {
		c, at := &spec.InitContainers[i], p.Index(i)
		f.container(spec, c, volumes, at)
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if sidecar && len(c.RestartPolicyRules) > 0 {
			f.forbidden(at.Child("restartPolicyRules"), "restartPolicyRules are not allowed for init containers with restart policy Always")
		} else {
			f.restart(c, at)
		}
		if names.Has(c.Name) {
			f.duplicate(at.Child("name"), c.Name)
		} else if c.Name != "" {
			names.Insert(c.Name)
		}
		f.hostPorts([]corev1.Container{*c}, p) // init containers run one by one
		if sidecar {
			f.life(spec, c, at)
			continue
		}
		for _, set := range []struct {
			field string
			is    bool
		}{{"lifecycle", c.Lifecycle != nil}, {"livenessProbe", c.LivenessProbe != nil},
			{"readinessProbe", c.ReadinessProbe != nil}, {"startupProbe", c.StartupProbe != nil}} {
			if set.is {
				f.forbidden(at.Child(set.field), "may not be set for init containers without restartPolicy=Always")
			}
		}
	}
}

// container checks what all kinds of containers have in common.
func (f *findings) container(spec *corev1.PodSpec, c *corev1.Container, volumes map[string]corev1.Volume, p *field.Path) {
	if c.Name == "" {
		f.required(p.Child("name"), "")
	} else {
		f.label(p.Child("name"), c.Name)
	}
	if c.Image == "" {
		f.required(p.Child("image"), "")
	}
	oneOf(f, p.Child("terminationMessagePolicy"), c.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
	f.ports(c.Ports, p.Child("ports"))
	f.env(c.Env, p.Child("env"))
	f.envFrom(c.EnvFrom, p.Child("envFrom"))
	f.mounts(c, volumes, p.Child("volumeMounts"))
	oneOf(f, p.Child("imagePullPolicy"), c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	f.resources(c.Resources, p.Child("resources"))
	f.security(spec, c.SecurityContext, p.Child("securityContext"))
}

// life checks the hooks and probes of containers that may have them.
func (f *findings) life(spec *corev1.PodSpec, c *corev1.Container, p *field.Path) {
	grace := spec.TerminationGracePeriodSeconds
	if l := c.Lifecycle; l != nil {
		f.hook(l.PostStart, grace, p.Child("lifecycle", "postStart"))
		f.hook(l.PreStop, grace, p.Child("lifecycle", "preStop"))
		if l.StopSignal != nil && spec.OS == nil {
			f.forbidden(p.Child("lifecycle", "stopSignal"), "may not be set for containers with empty `spec.os.name`")
		}
	}
	f.probe(c.LivenessProbe, p.Child("livenessProbe"))
	f.mustBeOne(c.LivenessProbe, p.Child("livenessProbe"))
	f.probe(c.ReadinessProbe, p.Child("readinessProbe"))
	if r := c.ReadinessProbe; r != nil && r.TerminationGracePeriodSeconds != nil {
		f.invalid(p.Child("readinessProbe", "terminationGracePeriodSeconds"), r.TerminationGracePeriodSeconds, "must not be set for readinessProbes")
	}
	f.probe(c.StartupProbe, p.Child("startupProbe"))
	f.mustBeOne(c.StartupProbe, p.Child("startupProbe"))
}

// restart checks a container's own restart policy.
func (f *findings) restart(c *corev1.Container, p *field.Path) {
	rules := p.Child("restartPolicyRules")
	switch {
	case c.RestartPolicy != nil:
		someOf(f, p.Child("restartPolicy"), *c.RestartPolicy, corev1.ContainerRestartPolicyAlways,
			corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)
	case len(c.RestartPolicyRules) > 0:
		f.required(p.Child("restartPolicy"), "must specify restartPolicy when restart rules are used")
	}
	if n := len(c.RestartPolicyRules); n > 20 {
		f.list = append(f.list, field.TooMany(rules, n, 20))
	}
	for i, rule := range c.RestartPolicyRules {
		at := rules.Index(i)
		someOf(f, at.Child("action"), rule.Action, corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
		if rule.ExitCodes == nil {
			f.required(at.Child("exitCodes"), "must be specified")
			continue
		}
		someOf(f, at.Child("exitCodes", "operator"), rule.ExitCodes.Operator,
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)
		if n := len(rule.ExitCodes.Values); n > 255 {
			f.list = append(f.list, field.TooMany(at.Child("exitCodes", "values"), n, 255))
		}
	}
}

func (f *findings) ports(ports []corev1.ContainerPort, p *field.Path) {
	names := sets.New[string]()
	for i, port := range ports {
		at := p.Index(i)
		if port.Name != "" {
			bad := validation.IsValidPortName(port.Name)
			f.invalid(at.Child("name"), port.Name, bad...)
			if len(bad) == 0 && names.Has(port.Name) {
				f.duplicate(at.Child("name"), port.Name)
			}
			names.Insert(port.Name)
		}
		if port.ContainerPort == 0 {
			f.required(at.Child("containerPort"), "")
		} else {
			f.invalid(at.Child("containerPort"), port.ContainerPort, validation.IsValidPortNum(int(port.ContainerPort))...)
		}
		if port.HostPort != 0 {
			f.invalid(at.Child("hostPort"), port.HostPort, validation.IsValidPortNum(int(port.HostPort))...)
		}
		oneOf(f, at.Child("protocol"), port.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
	}
}

// hostPorts: no two containers that run at the same time may take one port of the node.
func (f *findings) hostPorts(containers []corev1.Container, p *field.Path) {
	taken := sets.New[string]()
	for i, c := range containers {
		for j, port := range c.Ports {
			if port.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if taken.Has(key) {
				f.duplicate(p.Index(i).Child("ports").Index(j).Child("hostPort"), key)
			}
			taken.Insert(key)
		}
	}
}

func (f *findings) env(vars []corev1.EnvVar, p *field.Path) {
	for i, v := range vars {
		at := p.Index(i)
		if v.Name == "" {
			f.required(at.Child("name"), "")
		} else {
			f.invalid(at.Child("name"), v.Name, validation.IsRelaxedEnvVarName(v.Name)...)
		}
		if v.ValueFrom != nil {
			f.valueFrom(v, at.Child("valueFrom"))
		}
	}
}

// Fields that the downward API offers as a variable, and as a file.
var (
	envFields = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	fileFields = []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
)

func (f *findings) valueFrom(v corev1.EnvVar, p *field.Path) {
	sources, from := 0, v.ValueFrom
	if from.FieldRef != nil {
		sources++
		f.fieldRef(from.FieldRef, envFields, p.Child("fieldRef"))
	}
	if from.ResourceFieldRef != nil {
		sources++
		f.resourceFieldRef(from.ResourceFieldRef, false, p.Child("resourceFieldRef"))
	}
	if from.ConfigMapKeyRef != nil {
		sources++
		f.keyRef(from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key, p.Child("configMapKeyRef"))
	}
	if from.SecretKeyRef != nil {
		sources++
		f.keyRef(from.SecretKeyRef.Name, from.SecretKeyRef.Key, p.Child("secretKeyRef"))
	}
	if from.FileKeyRef != nil {
		sources++ // its volume is checked where the kubelet decides what it supports
	}
	switch {
	case sources == 0:
		f.invalid(p, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")
	case v.Value != "":
		f.invalid(p, "", "may not be specified when `value` is not empty")
	case sources > 1:
		f.invalid(p, "", "may not have more than one field specified at a time")
	}
}

func (f *findings) keyRef(name, key string, p *field.Path) {
	f.invalid(p.Child("name"), name, validation.IsDNS1123Subdomain(name)...)
	if key == "" {
		f.required(p.Child("key"), "")
		return
	}
	f.invalid(p.Child("key"), key, validation.IsConfigMapKey(key)...)
}

func (f *findings) envFrom(sources []corev1.EnvFromSource, p *field.Path) {
	for i, s := range sources {
		at, n := p.Index(i), 0
		if s.Prefix != "" {
			f.invalid(at.Child("prefix"), s.Prefix, validation.IsRelaxedEnvVarName(s.Prefix)...)
		}
		for _, ref := range []struct {
			is    bool
			name  func() string
			field string
		}{
			{s.ConfigMapRef != nil, func() string { return s.ConfigMapRef.Name }, "configMapRef"},
			{s.SecretRef != nil, func() string { return s.SecretRef.Name }, "secretRef"},
		} {
			switch {
			case !ref.is:
				continue
			case ref.name() == "":
				f.required(at.Child(ref.field, "name"), "")
			default:
				f.invalid(at.Child(ref.field, "name"), ref.name(), validation.IsDNS1123Subdomain(ref.name())...)
			}
			n++
		}
		if n == 0 {
			f.invalid(p, "", "must specify one of: `configMapRef` or `secretRef`")
		} else if n > 1 {
			f.invalid(p, "", "may not have more than one field specified at a time")
		}
	}
}

// fieldRef checks a field of the pod that the downward API is asked for.
func (f *findings) fieldRef(ref *corev1.ObjectFieldSelector, supported []string, p *field.Path) {
	path, key, subscript := strings.Cut(strings.TrimSuffix(ref.FieldPath, "']"), "['")
	subscript = subscript && strings.HasSuffix(ref.FieldPath, "']")
	at := p.Child("fieldPath")
	switch {
	case ref.APIVersion == "":
		f.required(p.Child("apiVersion"), "")
	case ref.FieldPath == "":
		f.required(at, "")
	case ref.APIVersion != "v1":
		f.invalid(at, ref.FieldPath, "error converting fieldPath: unsupported pod version: "+ref.APIVersion)
	case subscript && path == "metadata.annotations":
		f.invalid(p, strings.ToLower(key), validation.IsQualifiedName(strings.ToLower(key))...)
	case subscript && path == "metadata.labels":
		f.invalid(p, key, validation.IsQualifiedName(key)...)
	case subscript:
		f.invalid(at, ref.FieldPath, "error converting fieldPath: field label does not support subscript: "+ref.FieldPath)
	case !sets.New(append(append([]string{"spec.restartPolicy", "spec.schedulerName", "status.phase"}, envFields...), fileFields...)...).Has(ref.FieldPath):
		f.invalid(at, ref.FieldPath, "error converting fieldPath: field label not supported: "+ref.FieldPath)
	default:
		someOf(f, at, ref.FieldPath, supported...)
	}
}

var resourceFields = []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory",
	"requests.cpu", "requests.ephemeral-storage", "requests.memory"}

func (f *findings) resourceFieldRef(ref *corev1.ResourceFieldSelector, file bool, p *field.Path) {
	hugepages := strings.HasPrefix(ref.Resource, "requests.hugepages-") || strings.HasPrefix(ref.Resource, "limits.hugepages-")
	switch {
	case file && ref.ContainerName == "":
		f.required(p.Child("containerName"), "")
	case ref.Resource == "":
		f.required(p.Child("resource"), "")
	case !hugepages:
		someOf(f, p.Child("resource"), ref.Resource, resourceFields...)
	}
	if ref.Divisor.IsZero() {
		return
	}
	units, what := sets.New("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"), "memory"
	switch {
	case strings.HasSuffix(ref.Resource, ".cpu"):
		if !sets.New("1m", "1").Has(ref.Divisor.String()) {
			f.invalid(p.Child("divisor"), ref.Resource, "only divisor's values 1m and 1 are supported with the cpu resource")
		}
		return
	case strings.HasSuffix(ref.Resource, ".ephemeral-storage"):
		what = "local ephemeral storage"
	case hugepages:
		what = "hugepages"
	}
	if !units.Has(ref.Divisor.String()) {
		f.invalid(p.Child("divisor"), ref.Resource,
			"only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the "+what+" resource")
	}
}
