// Package nodeconfig is the configuration of a kubelet that has an API server: that
// of step 01, and the fields and flags which mean something only now.
package nodeconfig

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/nodestatus"
)

// honoured are the fields that have an effect from this step on.
var honoured = []string{
	"authentication", "authorization", "registerNode", "registerWithTaints", "providerID",
	"nodeStatusUpdateFrequency", "nodeStatusReportFrequency", "nodeLeaseDurationSeconds", "nodeStatusMaxImages",
	"kubeAPIQPS", "kubeAPIBurst", "evictionHard", "evictionPressureTransitionPeriod",
	"shutdownGracePeriod", "shutdownGracePeriodCriticalPods",
}

// stillIgnored are fields for which step 01 gives the lack of an API server as the
// reason, and which have no effect with one either.
var stillIgnored = map[string]struct {
	set func(*config.Configuration) bool
	why string
}{
	"contentType":                  {func(c *config.Configuration) bool { return c.ContentType != "" }, "it is protobuf"},
	"enableControllerAttachDetach": {func(c *config.Configuration) bool { return c.EnableControllerAttachDetach != nil }, "no volume is attached"},
	"rotateCertificates":           {func(c *config.Configuration) bool { return c.RotateCertificates }, "lab renews certificates; a renewed one is read without a restart"},
	"serverTLSBootstrap":           {func(c *config.Configuration) bool { return c.ServerTLSBootstrap }, "lab issues certificates"},
	"configMapAndSecretChangeDetectionStrategy": {func(c *config.Configuration) bool {
		s := c.ConfigMapAndSecretChangeDetectionStrategy
		return s != "" && s != kubeletconfig.WatchChangeDetectionStrategy
	}, "objects are watched"},
}

// Load reads the file as [config.Load] does, with the defaults of this step.
func Load(file string) (c *config.Configuration, warnings []string, err error) {
	ignored := slices.Sorted(maps.Keys(stillIgnored))
	c, warnings, err = config.Load(file, slices.Concat(honoured, ignored)...)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range ignored {
		if f := stillIgnored[name]; f.set(c) {
			warnings = append(warnings, name+": has no effect here: "+f.why)
		}
	}
	if c.EvictionHard != nil {
		warnings = append(warnings, "evictionHard: decides about the node's conditions and which pods are let in; pods that run are not evicted")
	}
	setDefaults(c)
	if err := validate(c); err != nil {
		return nil, nil, fmt.Errorf("configuration %s: %w", file, err)
	}
	return c, warnings, nil
}

// setDefaults fills in upstream's values.
func setDefaults(c *config.Configuration) {
	report := c.NodeStatusUpdateFrequency.Duration // whoever wants to hear of the node more often, or less, means this too
	duration(&c.NodeStatusReportFrequency, cmp.Or(report, 5*time.Minute))
	duration(&c.NodeStatusUpdateFrequency, 10*time.Second)
	c.NodeLeaseDurationSeconds = cmp.Or(c.NodeLeaseDurationSeconds, 40)
	pointer(&c.NodeStatusMaxImages, 50)
	pointer(&c.RegisterNode, true)
	pointer(&c.KubeAPIQPS, 50)
	c.KubeAPIBurst = cmp.Or(c.KubeAPIBurst, 100)
	duration(&c.EvictionPressureTransitionPeriod, 5*time.Minute)
	if c.EvictionHard == nil {
		c.EvictionHard = nodestatus.DefaultThresholds
	}
	duration(&c.Authentication.Webhook.CacheTTL, 2*time.Minute)
	duration(&c.Authorization.Webhook.CacheAuthorizedTTL, 5*time.Minute)
	duration(&c.Authorization.Webhook.CacheUnauthorizedTTL, 30*time.Second)
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

// validate returns all that is wrong with the fields of this step.
func validate(c *config.Configuration) error {
	var errs []error
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(field+": "+format, args...))
		}
	}
	mode := c.Authorization.Mode
	check(mode == kubeletconfig.KubeletAuthorizationModeAlwaysAllow || mode == kubeletconfig.KubeletAuthorizationModeWebhook,
		"authorization.mode", "got %q, want AlwaysAllow or Webhook", mode)
	check(c.NodeLeaseDurationSeconds > 0, "nodeLeaseDurationSeconds", "got %d, want more than 0", c.NodeLeaseDurationSeconds)
	check(*c.NodeStatusMaxImages >= -1, "nodeStatusMaxImages", "got %d, want -1 or more", *c.NodeStatusMaxImages)
	check(c.NodeStatusUpdateFrequency.Duration > 0, "nodeStatusUpdateFrequency", "got %v, want more than 0", c.NodeStatusUpdateFrequency.Duration)
	total, critical := c.ShutdownGracePeriod.Duration, c.ShutdownGracePeriodCriticalPods.Duration
	check(critical >= 0 && critical <= total, "shutdownGracePeriodCriticalPods", "got %v, want 0 to shutdownGracePeriod, %v", critical, total)
	check(total == 0 || total >= time.Second, "shutdownGracePeriod", "got %v, want 0 or at least 1s", total)
	check(*c.KubeAPIQPS >= -1, "kubeAPIQPS", "got %d, want -1 or more", *c.KubeAPIQPS)
	if _, err := nodestatus.ParseThresholds(c.EvictionHard); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
