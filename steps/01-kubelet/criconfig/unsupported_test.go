package criconfig

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// honoured lists, per API type, the fields that this step does something about:
// this package, the volumes, the probes, or the kubelet's own loop. Together
// with what Unsupported reports it must be every field that the API has, so a
// new version of the API with a new field fails here.
var honoured = map[reflect.Type]string{
	reflect.TypeFor[corev1.PodSpec](): `volumes initContainers containers ephemeralContainers restartPolicy
		terminationGracePeriodSeconds activeDeadlineSeconds dnsPolicy nodeName hostNetwork hostPID hostIPC shareProcessNamespace
		securityContext hostname subdomain hostAliases dnsConfig readinessGates setHostnameAsFQDN os hostUsers hostnameOverride`,
	reflect.TypeFor[corev1.Container](): `name image command args workingDir ports envFrom env resources restartPolicy
		restartPolicyRules volumeMounts livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath
		terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty`,
	reflect.TypeFor[corev1.PodSecurityContext](): `seLinuxOptions runAsUser runAsGroup runAsNonRoot supplementalGroups
		supplementalGroupsPolicy fsGroup sysctls fsGroupChangePolicy seccompProfile appArmorProfile`,
	reflect.TypeFor[corev1.SecurityContext](): `capabilities privileged seLinuxOptions runAsUser runAsGroup runAsNonRoot
		readOnlyRootFilesystem allowPrivilegeEscalation procMount seccompProfile appArmorProfile`,
	reflect.TypeFor[corev1.VolumeMount]():          `name readOnly recursiveReadOnly mountPath subPath mountPropagation subPathExpr bindMountOptions`,
	reflect.TypeFor[corev1.EnvVarSource]():         `fieldRef resourceFieldRef`,
	reflect.TypeFor[corev1.ResourceRequirements](): `limits requests`,
	reflect.TypeFor[corev1.VolumeSource]():         `hostPath emptyDir downwardAPI projected`,
	reflect.TypeFor[corev1.VolumeProjection]():     `downwardAPI`,

	// Of these there is nothing to report: all is honoured.
	reflect.TypeFor[corev1.Probe](): `initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold
		terminationGracePeriodSeconds`,
	reflect.TypeFor[corev1.ProbeHandler]():            `exec httpGet tcpSocket grpc`,
	reflect.TypeFor[corev1.ExecAction]():              `command`,
	reflect.TypeFor[corev1.HTTPGetAction]():           `path port host scheme httpHeaders protocol`,
	reflect.TypeFor[corev1.TCPSocketAction]():         `port host`,
	reflect.TypeFor[corev1.GRPCAction]():              `port service mode`,
	reflect.TypeFor[corev1.Lifecycle]():               `postStart preStop stopSignal`,
	reflect.TypeFor[corev1.LifecycleHandler]():        `exec httpGet tcpSocket sleep`,
	reflect.TypeFor[corev1.ContainerPort]():           `name hostPort containerPort protocol hostIP`,
	reflect.TypeFor[corev1.EnvVar]():                  `name value valueFrom`,
	reflect.TypeFor[corev1.EnvFromSource]():           `prefix configMapRef secretRef`,
	reflect.TypeFor[corev1.Capabilities]():            `add drop`,
	reflect.TypeFor[corev1.SeccompProfile]():          `type localhostProfile`,
	reflect.TypeFor[corev1.EmptyDirVolumeSource]():    `medium sizeLimit mode`,
	reflect.TypeFor[corev1.HostPathVolumeSource]():    `path type`,
	reflect.TypeFor[corev1.ProjectedVolumeSource]():   `sources defaultMode defaultUser`,
	reflect.TypeFor[corev1.DownwardAPIVolumeFile]():   `path fieldRef resourceFieldRef mode user`,
	reflect.TypeFor[corev1.DownwardAPIProjection]():   `items`,
	reflect.TypeFor[corev1.PodDNSConfig]():            `nameservers searches options`,
	reflect.TypeFor[corev1.ContainerRestartRule]():    `action exitCodes`,
	reflect.TypeFor[corev1.ResourceFieldSelector]():   `containerName resource divisor`,
	reflect.TypeFor[corev1.DownwardAPIVolumeSource](): `items defaultMode defaultUser`,
}

func TestTheAPIHasNoFieldThatNobodyHasLookedAt(t *testing.T) {
	for typ, names := range honoured {
		ours := strings.Fields(names)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name == "" { // an embedded type, which has its own line
				continue
			}
			if !slices.Contains(ours, name) && !reportedTypes[typ] {
				t.Errorf("%s.%s is new: honour it, or report it", typ.Name(), name)
			}
			ours = slices.DeleteFunc(ours, func(s string) bool { return s == name })
		}
		if len(ours) > 0 {
			t.Errorf("%s has no fields %q any more", typ.Name(), ours)
		}
	}
}

// reportedTypes are those that TestEveryFieldIsHonouredOrReported looks at.
var reportedTypes = map[reflect.Type]bool{
	reflect.TypeFor[corev1.PodSpec](): true, reflect.TypeFor[corev1.Container](): true, reflect.TypeFor[corev1.PodSecurityContext](): true,
	reflect.TypeFor[corev1.SecurityContext](): true, reflect.TypeFor[corev1.VolumeMount](): true, reflect.TypeFor[corev1.EnvVarSource](): true,
	reflect.TypeFor[corev1.ResourceRequirements](): true, reflect.TypeFor[corev1.VolumeSource](): true, reflect.TypeFor[corev1.VolumeProjection](): true,
}

func TestEveryFieldIsHonouredOrReported(t *testing.T) {
	for _, tt := range []struct {
		typ reflect.Type
		pod func(v reflect.Value) *corev1.Pod // a pod with the value in it
	}{
		{reflect.TypeFor[corev1.PodSpec](), func(v reflect.Value) *corev1.Pod {
			return &corev1.Pod{Spec: v.Interface().(corev1.PodSpec)}
		}},
		{reflect.TypeFor[corev1.PodSecurityContext](), func(v reflect.Value) *corev1.Pod {
			sc := v.Interface().(corev1.PodSecurityContext)
			return &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &sc}}
		}},
		{reflect.TypeFor[corev1.Container](), func(v reflect.Value) *corev1.Pod {
			return containerPod(v.Interface().(corev1.Container))
		}},
		{reflect.TypeFor[corev1.SecurityContext](), func(v reflect.Value) *corev1.Pod {
			sc := v.Interface().(corev1.SecurityContext)
			return containerPod(corev1.Container{SecurityContext: &sc})
		}},
		{reflect.TypeFor[corev1.VolumeMount](), func(v reflect.Value) *corev1.Pod {
			return containerPod(corev1.Container{VolumeMounts: []corev1.VolumeMount{v.Interface().(corev1.VolumeMount)}})
		}},
		{reflect.TypeFor[corev1.EnvVarSource](), func(v reflect.Value) *corev1.Pod {
			src := v.Interface().(corev1.EnvVarSource)
			return containerPod(corev1.Container{Env: []corev1.EnvVar{{Name: "A", ValueFrom: &src}}})
		}},
		{reflect.TypeFor[corev1.ResourceRequirements](), func(v reflect.Value) *corev1.Pod {
			return containerPod(corev1.Container{Resources: v.Interface().(corev1.ResourceRequirements)})
		}},
		{reflect.TypeFor[corev1.VolumeSource](), func(v reflect.Value) *corev1.Pod {
			return volumePod(v.Interface().(corev1.VolumeSource))
		}},
		{reflect.TypeFor[corev1.VolumeProjection](), func(v reflect.Value) *corev1.Pod {
			sources := []corev1.VolumeProjection{v.Interface().(corev1.VolumeProjection)}
			return volumePod(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}})
		}},
	} {
		ours := strings.Fields(honoured[tt.typ])
		for i := range tt.typ.NumField() {
			name, _, _ := strings.Cut(tt.typ.Field(i).Tag.Get("json"), ",")
			v := reflect.New(tt.typ).Elem()
			fill(v.Field(i))
			reported := len(Unsupported(Node{}, tt.pod(v))) > 0
			switch listed := slices.Contains(ours, name); {
			case listed && reported:
				t.Errorf("%s.%s is honoured and reported as unsupported", tt.typ.Name(), name)
			case !listed && !reported:
				t.Errorf("%s.%s is neither honoured nor reported: it would be ignored in silence", tt.typ.Name(), name)
			}
		}
	}
}

func containerPod(c corev1.Container) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
}

func volumePod(s corev1.VolumeSource) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: s}}}}
}

// fill sets a value to something that is not its zero, and no deeper than needed.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if k := v.Elem().Kind(); k != reflect.Struct {
			fill(v.Elem())
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[[]corev1.Volume]() {
			return // an empty volume is an unsupported one
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key := reflect.New(v.Type().Key()).Elem()
		key.SetString("cpu")
		v.SetMapIndex(key, reflect.New(v.Type().Elem()).Elem())
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	}
}

func TestUnsupportedNamesTheField(t *testing.T) {
	pod := podOf(t, `
nodeSelector: {disk: ssd}
schedulerName: default-scheduler
volumes: [{name: v, persistentVolumeClaim: {claimName: c}}, {name: e, emptyDir: {medium: HugePages-2Mi}}]
containers:
- name: a
  resources: {limits: {cpu: 1, example.com/gpu: 1, ephemeral-storage: 1Gi}}
  env: [{name: A, value: x}, {name: B, valueFrom: {configMapKeyRef: {name: c, key: k}}}]
`)
	var got []string
	for _, e := range Unsupported(Node{}, pod) {
		got = append(got, e.Field)
	}
	check(t, got, []string{
		"spec.nodeSelector", "spec.volumes[0]", "spec.volumes[1].emptyDir.medium",
		"spec.containers[0].resources.limits[ephemeral-storage]", "spec.containers[0].resources.limits[example.com/gpu]",
		"spec.containers[0].env[1].valueFrom.configMapKeyRef",
	})
}

func TestAnAPIServerMakesFieldsWork(t *testing.T) {
	pod := podOf(t, `
nodeSelector: {disk: ssd}
serviceAccountName: robot
imagePullSecrets: [{name: registry}]
enableServiceLinks: true
resourceClaims: [{name: gpu}]
volumes:
- {name: c, configMap: {name: c}}
- {name: s, secret: {secretName: s}}
- name: p
  projected: {sources: [{serviceAccountToken: {path: token}}, {configMap: {name: c}}, {podCertificate: {signerName: x, keyType: ED25519}}]}
- {name: pvc, persistentVolumeClaim: {claimName: c}}
containers: [{name: a, envFrom: [{secretRef: {name: s}}], env: [{name: B, valueFrom: {configMapKeyRef: {name: c, key: k}}}]}]
`)
	var got []string
	for _, e := range Unsupported(Node{APIServer: true}, pod) {
		got = append(got, e.Field)
	}
	check(t, got, []string{"spec.resourceClaims", "spec.volumes[2].projected.sources[2].podCertificate", "spec.volumes[3]"})
}

func TestLimitOnDiskOfAStaticPodIsReported(t *testing.T) {
	pod := podOf(t, `
volumes: [{name: disk, emptyDir: {sizeLimit: 1Mi}}, {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: free, emptyDir: {}}]
containers: [{name: a}]
`)
	if got := Unsupported(Node{}, pod); len(got) > 0 {
		t.Errorf("got %v of a pod that can be evicted", got)
	}
	pod.Annotations = map[string]string{podsource.Annotation: "file"}
	if got := Unsupported(Node{}, pod); len(got) != 1 || got[0].Field != "spec.volumes[0].emptyDir.sizeLimit" {
		t.Errorf("got %v, want spec.volumes[0].emptyDir.sizeLimit", got)
	}
}

func TestSeccompProfileThatIsNoFilterIsReported(t *testing.T) {
	pod := podOf(t, `
securityContext: {seccompProfile: {type: RuntimeDefault}}
containers:
- {name: a, securityContext: {seccompProfile: {type: Localhost, localhostProfile: strict.json}}}
- {name: b, securityContext: {seccompProfile: {type: Unconfined}}}
`)
	if got := Unsupported(Node{}, pod); len(got) > 0 {
		t.Errorf("got %v where there is seccomp", got)
	}
	var got []string
	for _, e := range Unsupported(Node{NoSeccomp: true}, pod) {
		got = append(got, e.Field)
	}
	check(t, got, []string{"spec.securityContext.seccompProfile", "spec.containers[0].securityContext.seccompProfile"})
}
