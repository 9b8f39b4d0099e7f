// Package config reads the kubelet's configuration: upstream's
// KubeletConfiguration file, and upstream's flags.
//
// A field that upstream does not have is an error. One that upstream has and
// this kubelet does not honour is a warning, with the reason; one that would make
// the node less safe if it were ignored is an error too. So is every value that a
// field can't have.
package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

// A Configuration is the file's content, with defaults.
type Configuration = kubeletconfig.KubeletConfiguration

const (
	apiVersion = "kubelet.config.k8s.io/v1beta1"
	kind       = "KubeletConfiguration"
)

// Load reads the file and sets defaults; an empty name means the defaults
// alone. Warnings name fields that have no effect here. Also names fields that
// have none in this step and that the caller honours: it sets their defaults, and
// says what is wrong with them, itself. Of "authentication" and "authorization"
// that is the part which asks an API server.
func Load(file string, also ...string) (c *Configuration, warnings []string, err error) {
	c = &Configuration{}
	if file == "" {
		setDefaults(c)
		return c, nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	c, warnings, err = parse(data, also...)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration %s: %w", file, err)
	}
	return c, warnings, nil
}

func parse(data []byte, also ...string) (*Configuration, []string, error) {
	c := &Configuration{}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, nil, err
	}
	strict, err := kjson.UnmarshalStrict(asJSON, c)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, nil, err
	}
	if c.APIVersion != apiVersion || c.Kind != kind {
		return nil, nil, fmt.Errorf("got apiVersion %q and kind %q, want %s and %s", c.APIVersion, c.Kind, apiVersion, kind)
	}
	warnings, err := unhonoured(asJSON, also)
	if err != nil {
		return nil, nil, err
	}
	setDefaults(c)
	errs := validate(c)
	if !slices.Contains(also, "authentication") {
		errs = errors.Join(errs, validateAlone(c))
	}
	return c, warnings, errs
}

// unhonoured says which fields of the file have no effect.
func unhonoured(asJSON []byte, also []string) (warnings []string, err error) {
	var set map[string]json.RawMessage
	if err := json.Unmarshal(asJSON, &set); err != nil {
		return nil, err
	}
	var errs []error
	for name, value := range set {
		switch f := fields[name]; {
		case slices.Contains(also, name):
		case f.harmless == string(value):
		case f.ignored != "":
			warnings = append(warnings, name+": has no effect here: "+f.ignored)
		case f.refused != "":
			errs = append(errs, errors.New(name+": is not supported here: "+f.refused))
		}
	}
	slices.Sort(warnings)
	return warnings, errors.Join(errs...)
}

// setDefaults fills in what the file leaves out. The values are upstream's,
// but for these, because this kubelet needs no API server and no other program:
// containerRuntimeEndpoint (empty: the runtime is in this process), failCgroupV1
// (false: both versions serve), authorization.mode (AlwaysAllow: who has a
// certificate may) and authentication.webhook (off).
func setDefaults(c *Configuration) {
	c.APIVersion, c.Kind = apiVersion, kind
	duration(&c.SyncFrequency, time.Minute)
	duration(&c.FileCheckFrequency, 20*time.Second)
	duration(&c.ImageMinimumGCAge, 2*time.Minute)
	duration(&c.RuntimeRequestTimeout, 2*time.Minute)
	pointer(&c.EnableServer, true)
	c.Address = cmp.Or(c.Address, "0.0.0.0")
	c.Port = cmp.Or(c.Port, 10250)
	pointer(&c.HealthzPort, 10248)
	c.HealthzBindAddress = cmp.Or(c.HealthzBindAddress, "127.0.0.1")
	pointer(&c.Authentication.Anonymous.Enabled, false)
	pointer(&c.Authentication.Webhook.Enabled, false)
	c.Authorization.Mode = cmp.Or(c.Authorization.Mode, kubeletconfig.KubeletAuthorizationModeAlwaysAllow)
	pointer(&c.ImageGCHighThresholdPercent, 85)
	pointer(&c.ImageGCLowThresholdPercent, 80)
	pointer(&c.CgroupsPerQOS, true)
	c.CgroupDriver = cmp.Or(c.CgroupDriver, "cgroupfs")
	c.MaxPods = cmp.Or(c.MaxPods, 110)
	pointer(&c.PodPidsLimit, -1)
	pointer(&c.ResolverConfig, "/etc/resolv.conf")
	pointer(&c.CPUCFSQuota, true)
	pointer(&c.CPUCFSQuotaPeriod, metav1.Duration{Duration: 100 * time.Millisecond})
	pointer(&c.SerializeImagePulls, c.MaxParallelImagePulls == nil || *c.MaxParallelImagePulls < 2)
	pointer(&c.EnableDebuggingHandlers, true)
	c.ContainerLogMaxSize = cmp.Or(c.ContainerLogMaxSize, "10Mi")
	pointer(&c.ContainerLogMaxFiles, 5)
	pointer(&c.ContainerLogMonitorInterval, metav1.Duration{Duration: 10 * time.Second})
	pointer(&c.SeccompDefault, false)
	pointer(&c.FailCgroupV1, false)
	pointer(&c.CrashLoopBackOff.MaxContainerRestartPeriod, metav1.Duration{Duration: 5 * time.Minute})
	c.PodLogsDir = cmp.Or(c.PodLogsDir, "/var/log/pods")
}

func duration(d *metav1.Duration, value time.Duration) {
	if d.Duration == 0 {
		d.Duration = value
	}
}

func pointer[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

// validate returns all that is wrong with a configuration, by field.
func validate(c *Configuration) error {
	var errs []error
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(field+": "+format, args...))
		}
	}
	check(c.CgroupDriver == "cgroupfs", "cgroupDriver", "got %q, want cgroupfs: this kubelet makes cgroups itself", c.CgroupDriver)
	check(*c.CgroupsPerQOS, "cgroupsPerQOS", "must be true")
	check(c.Port > 0 && c.Port < 1<<16, "port", "got %d, want 1 to 65535", c.Port)
	check(c.ReadOnlyPort >= 0 && c.ReadOnlyPort < 1<<16, "readOnlyPort", "got %d, want 0 to 65535", c.ReadOnlyPort)
	check(*c.HealthzPort >= 0 && *c.HealthzPort < 1<<16, "healthzPort", "got %d, want 0 to 65535", *c.HealthzPort)
	check(net.ParseIP(c.Address) != nil, "address", "%q is no IP address", c.Address)
	check(net.ParseIP(c.HealthzBindAddress) != nil, "healthzBindAddress", "%q is no IP address", c.HealthzBindAddress)
	for _, dns := range c.ClusterDNS {
		check(net.ParseIP(dns) != nil, "clusterDNS", "%q is no IP address", dns)
	}
	check((c.TLSCertFile == "") == (c.TLSPrivateKeyFile == ""), "tlsCertFile", "is given together with tlsPrivateKeyFile, or not at all")
	high, low := *c.ImageGCHighThresholdPercent, *c.ImageGCLowThresholdPercent
	check(high >= 0 && high <= 100, "imageGCHighThresholdPercent", "got %d, want 0 to 100", high)
	check(low >= 0 && low < high, "imageGCLowThresholdPercent", "got %d, want less than imageGCHighThresholdPercent, %d", low, high)
	check(*c.ContainerLogMaxFiles > 1, "containerLogMaxFiles", "got %d, want at least 2", *c.ContainerLogMaxFiles)
	size, err := resource.ParseQuantity(c.ContainerLogMaxSize)
	check(err == nil && size.Sign() != 0, "containerLogMaxSize", "%q is no size", c.ContainerLogMaxSize)
	period := c.CPUCFSQuotaPeriod.Duration
	check(period >= time.Millisecond && period <= time.Second, "cpuCFSQuotaPeriod", "got %v, want 1ms to 1s", period)
	restart := c.CrashLoopBackOff.MaxContainerRestartPeriod.Duration
	check(restart >= time.Second && restart <= 5*time.Minute, "crashLoopBackOff.maxContainerRestartPeriod", "got %v, want 1s to 5m", restart)
	check(c.MaxPods > 0, "maxPods", "got %d, want at least 1", c.MaxPods)
	if n := c.MaxParallelImagePulls; n != nil {
		check(*n > 0 && (!*c.SerializeImagePulls || *n == 1), "maxParallelImagePulls", "got %d with serializeImagePulls %t", *n, *c.SerializeImagePulls)
	}
	return errors.Join(errs...)
}

// validateAlone refuses what a kubelet without an API server can't do.
func validateAlone(c *Configuration) error {
	var errs []error
	if *c.Authentication.Webhook.Enabled {
		errs = append(errs, errors.New("authentication.webhook.enabled: is not supported: there is no API server to ask"))
	}
	if mode := c.Authorization.Mode; mode != kubeletconfig.KubeletAuthorizationModeAlwaysAllow {
		errs = append(errs, fmt.Errorf("authorization.mode: got %q, want AlwaysAllow: there is no API server to ask", mode))
	}
	return errors.Join(errs...)
}

// LogLimit returns how much log of a container is kept.
func LogLimit(c *Configuration) crilog.Limit {
	size := resource.MustParse(c.ContainerLogMaxSize) // validated
	return crilog.Limit{MaxBytes: size.Value(), MaxFiles: int(*c.ContainerLogMaxFiles)}
}

// ParallelPulls returns how many images may be pulled at a time.
func ParallelPulls(c *Configuration) int {
	switch {
	case *c.SerializeImagePulls:
		return 1
	case c.MaxParallelImagePulls != nil:
		return int(*c.MaxParallelImagePulls)
	}
	return 1 << 10
}

// A treatment says what becomes of a field. The zero treatment: it is honoured.
type treatment struct {
	ignored  string // why it has no effect
	refused  string // why it is an error
	harmless string // a value, in JSON, that changes nothing anyway
}

// fieldNames returns the names of all fields of the configuration.
func fieldNames() []string {
	var names []string
	t := reflect.TypeFor[Configuration]()
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}
