package config

import (
	"errors"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	componentv1alpha1 "k8s.io/component-base/config/v1alpha1"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// Validate says what is wrong, in upstream's words, with all of it at once.
// Upstream: pkg/scheduler/apis/config/validation/validation.go.
func Validate(c *Config) error {
	var errs field.ErrorList
	if burst := c.ClientConnection.Burst; burst < 0 {
		errs = append(errs, field.Invalid(field.NewPath("clientConnection", "burst"), burst, "must be non-negative"))
	}
	errs = append(errs, validateLeaderElection(&c.LeaderElection, field.NewPath("leaderElection"))...)
	if *c.Parallelism <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("parallelism"), *c.Parallelism, "should be an integer value greater than zero"))
	}
	errs = append(errs, validateProfiles(c.Profiles, field.NewPath("profiles"))...)
	errs = append(errs, validatePercentage(c.PercentageOfNodesToScore, field.NewPath("percentageOfNodesToScore"))...)
	if *c.PodInitialBackoffSeconds <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("podInitialBackoffSeconds"), *c.PodInitialBackoffSeconds, "must be greater than 0"))
	}
	if *c.PodMaxBackoffSeconds < *c.PodInitialBackoffSeconds {
		errs = append(errs, field.Invalid(field.NewPath("podMaxBackoffSeconds"), *c.PodMaxBackoffSeconds, "must be greater than or equal to PodInitialBackoffSeconds"))
	}
	errs = append(errs, validateAbsent(c)...)
	return all(errs)
}

// validateAbsent refuses what upstream has and we have not: nothing that is asked for
// is left out in silence.
func validateAbsent(c *Config) (errs field.ErrorList) {
	if len(c.Extenders) > 0 {
		errs = append(errs, field.Forbidden(field.NewPath("extenders"), "there are no extenders here: write a plugin"))
	}
	if c.DelayCacheUntilActive {
		errs = append(errs, field.Forbidden(field.NewPath("delayCacheUntilActive"), "who is not the leader watches the cluster too here"))
	}
	if contention := c.EnableContentionProfiling; contention != nil && *contention {
		errs = append(errs, field.Forbidden(field.NewPath("enableContentionProfiling"), "there are no profiles of contention here"))
	}
	return errs
}

// all makes one error of a list, one line for each.
func all(list field.ErrorList) error {
	errs := make([]error, len(list))
	for i, err := range list {
		errs[i] = err
	}
	return errors.Join(errs...)
}

func validateLeaderElection(l *componentv1alpha1.LeaderElectionConfiguration, path *field.Path) (errs field.ErrorList) {
	if !*l.LeaderElect {
		return nil
	}
	lease, renew, retry := l.LeaseDuration, l.RenewDeadline, l.RetryPeriod
	if lease.Duration <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDuration"), lease, "must be greater than zero"))
	}
	if renew.Duration <= 0 {
		errs = append(errs, field.Invalid(path.Child("renewDeadline"), renew, "must be greater than zero"))
	}
	if retry.Duration <= 0 {
		errs = append(errs, field.Invalid(path.Child("retryPeriod"), retry, "must be greater than zero"))
	}
	if lease.Duration <= renew.Duration {
		errs = append(errs, field.Invalid(path.Child("leaseDuration"), renew, "must be greater than `RenewDeadline`"))
	}
	for name, value := range map[string]string{"resourceNamespace": l.ResourceNamespace, "resourceName": l.ResourceName} {
		if value == "" {
			errs = append(errs, field.Invalid(path.Child(name), value, name+" is required"))
		}
	}
	if l.ResourceLock != "leases" {
		errs = append(errs, field.Invalid(path.Child("resourceLock"), l.ResourceLock, `resourceLock value must be "leases"`))
	}
	return errs
}

func validateProfiles(profiles []configv1.KubeSchedulerProfile, path *field.Path) (errs field.ErrorList) {
	known := map[string]int{}
	for i := range profiles {
		p, path := &profiles[i], path.Index(i)
		name := ""
		if p.SchedulerName != nil {
			name = *p.SchedulerName
		}
		if name == "" {
			errs = append(errs, field.Required(path.Child("schedulerName"), ""))
		} else if first, ok := known[name]; ok {
			errs = append(errs, field.Duplicate(path.Child("schedulerName"), fmt.Sprintf("profiles[%d].schedulerName", first)))
		} else {
			known[name] = i
		}
		errs = append(errs, validatePercentage(p.PercentageOfNodesToScore, path.Child("percentageOfNodesToScore"))...)
		errs = append(errs, validatePluginConfig(p.PluginConfig, path.Child("pluginConfig"))...)
		errs = append(errs, validatePoints(p.Plugins, path.Child("plugins"))...)
		if sort := p.Plugins.QueueSort; !apiequality.Semantic.DeepEqual(sort, profiles[0].Plugins.QueueSort) {
			errs = append(errs, field.Invalid(path.Child("plugins", "queueSort"), sort, "must be the same for all profiles"))
		}
	}
	return errs
}

func validatePercentage(percentage *int32, path *field.Path) (errs field.ErrorList) {
	if percentage != nil && (*percentage < 0 || *percentage > 100) {
		errs = append(errs, field.Invalid(path, *percentage, "not in valid range [0-100]"))
	}
	return errs
}

// validatePoints refuses plugins at points at which nothing is asked here.
func validatePoints(p *configv1.Plugins, path *field.Path) (errs field.ErrorList) {
	for _, point := range []struct {
		name string
		set  configv1.PluginSet
	}{
		{"reserve", p.Reserve}, {"permit", p.Permit}, {"preBind", p.PreBind}, {"postBind", p.PostBind},
		{"placementGenerate", p.PlacementGenerate}, {"placementScore", p.PlacementScore}, {"podGroupPostFilter", p.PodGroupPostFilter},
	} {
		if len(point.set.Enabled) > 0 {
			errs = append(errs, field.Forbidden(path.Child(point.name, "enabled"), "plugins are not asked at this point here"))
		}
	}
	return errs
}

func validatePluginConfig(list []configv1.PluginConfig, path *field.Path) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i, c := range list {
		path := path.Index(i)
		if seen[c.Name] {
			errs = append(errs, field.Duplicate(path, c.Name))
		}
		seen[c.Name] = true
		if !takesArgs(c.Name) {
			errs = append(errs, field.Invalid(path.Child("name"), c.Name, "no plugin of this name takes arguments here"))
		}
		errs = append(errs, validateArgs(c.Args.Object, path.Child("args"))...)
	}
	return errs
}
