// Package profile makes of a profile of the configuration the plugins that decide.
//
// Package plugins makes them by their names; binding and preemption, which write as
// well as decide, have their names here.
//
// A plugin works wherever it can: who filters and scores does both. A configuration
// turns it on or off everywhere (multiPoint), or at one of these. Filter and
// PreFilter are one here, as are Score and PreScore: half a plugin is of no use.
//
// Upstream: pkg/scheduler/framework/runtime/framework.go and plugins/registry.go.
package profile

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/config"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/preempt"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/scheduler"
)

// All makes the profiles of a configuration, by their names. together is asked which
// pods belong together if they do not say so themselves; it may be nil.
func All(c *config.Config, together plugins.Together) (map[string]*scheduler.Profile, error) {
	all := map[string]*scheduler.Profile{}
	for i := range c.Profiles {
		from := &c.Profiles[i]
		m := maker{path: field.NewPath("profiles").Index(i).Child("plugins"), from: from, together: together, made: map[string]framework.Plugin{}}
		p := m.profile(from.Plugins)
		if err := errors.Join(m.errs...); err != nil {
			return nil, err
		}
		p.Name, p.Parallelism, p.PercentageOfNodesToScore = *from.SchedulerName, int(*c.Parallelism), int(*c.PercentageOfNodesToScore)
		if from.PercentageOfNodesToScore != nil {
			p.PercentageOfNodesToScore = int(*from.PercentageOfNodesToScore)
		}
		all[p.Name] = p
	}
	return all, nil
}

// A maker makes one profile. A plugin is made once for all the points at which it works.
type maker struct {
	path       *field.Path
	from       *configv1.KubeSchedulerProfile
	together   plugins.Together
	made       map[string]framework.Plugin
	everywhere []weighted
	errs       []error
}

type weighted struct {
	framework.Plugin
	weight int64
}

func (m *maker) profile(set *configv1.Plugins) *scheduler.Profile {
	p := &scheduler.Profile{}
	m.everywhere = m.enabled("multiPoint", set.MultiPoint)
	for _, w := range m.at("preEnqueue", is[framework.PreEnqueuePlugin], set.PreEnqueue) {
		p.PreEnqueue = append(p.PreEnqueue, w.Plugin.(framework.PreEnqueuePlugin))
	}
	sorts := m.at("queueSort", is[framework.QueueSortPlugin], set.QueueSort)
	if len(sorts) == 1 {
		p.Sort = sorts[0].Plugin.(framework.QueueSortPlugin)
	} else {
		m.errs = append(m.errs, field.Invalid(m.path.Child("queueSort"), len(sorts), "only one queue sort plugin can be enabled, and one has to be"))
	}
	for _, w := range m.at("filter", isFilter, set.Filter, set.PreFilter) {
		p.Filters = append(p.Filters, w.Plugin)
	}
	for _, w := range m.at("score", isScore, set.Score, set.PreScore) {
		p.Scores = append(p.Scores, decide.Weighted{Plugin: w.Plugin, Weight: w.weight})
	}
	for _, w := range m.at("postFilter", is[preemption], set.PostFilter) {
		p.Preemption = w.Plugin.(preemption).options()
	}
	if len(m.at("bind", is[binder], set.Bind)) == 0 {
		m.errs = append(m.errs, field.Required(m.path.Child("bind"), "at least one bind plugin is needed"))
	}
	return p
}

// at returns the plugins of one point: first those that it names itself, and then
// all others that work there.
func (m *maker) at(point string, fits func(framework.Plugin) bool, sets ...configv1.PluginSet) []weighted {
	var chosen []weighted
	for _, set := range sets {
		for _, w := range m.enabled(point, set) {
			if !fits(w.Plugin) {
				m.errs = append(m.errs, field.Invalid(m.path.Child(point, "enabled"), w.Name(), "the plugin does not work at this point"))
			}
			chosen = append(chosen, w)
		}
	}
	for _, w := range m.everywhere {
		off := slices.ContainsFunc(sets, func(s configv1.PluginSet) bool {
			return slices.ContainsFunc(s.Disabled, func(p configv1.Plugin) bool { return p.Name == "*" || p.Name == w.Name() })
		})
		on := slices.ContainsFunc(chosen, func(c weighted) bool { return c.Name() == w.Name() })
		if fits(w.Plugin) && !off && !on {
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// enabled returns the plugins that a set names.
func (m *maker) enabled(point string, set configv1.PluginSet) (all []weighted) {
	for i, p := range set.Enabled {
		path := m.path.Child(point, "enabled").Index(i)
		plugin, err := m.plugin(p.Name)
		switch {
		case err != nil:
			m.errs = append(m.errs, fmt.Errorf("%s: %w", path, err))
			continue
		case slices.ContainsFunc(all, func(w weighted) bool { return w.Name() == p.Name }):
			m.errs = append(m.errs, field.Duplicate(path, p.Name))
		case p.Weight != nil && *p.Weight < 0:
			m.errs = append(m.errs, field.Invalid(path.Child("weight"), *p.Weight, "must be non-negative"))
		}
		w := weighted{plugin, 1}
		if p.Weight != nil && *p.Weight != 0 {
			w.weight = int64(*p.Weight)
		}
		all = append(all, w)
	}
	return all
}

func (m *maker) plugin(name string) (framework.Plugin, error) {
	if p := m.made[name]; p != nil {
		return p, nil
	}
	p, err := m.construct(name)
	if err == nil {
		m.made[name] = p
	}
	return p, err
}

func (m *maker) construct(name string) (framework.Plugin, error) {
	switch name {
	case "DefaultBinder":
		return binder{}, nil
	case preempt.Name:
		args, ok := config.Args(m.from, name).(*configv1.DefaultPreemptionArgs)
		if !ok {
			return nil, errors.New("its arguments are not of the type DefaultPreemptionArgs")
		}
		return preemption{args}, nil
	}
	return plugins.New(name, config.Args(m.from, name), m.together)
}

func is[T framework.Plugin](p framework.Plugin) bool { _, ok := p.(T); return ok }

func isFilter(p framework.Plugin) bool {
	return is[framework.FilterPlugin](p) || is[framework.PreFilterPlugin](p)
}

func isScore(p framework.Plugin) bool {
	return is[framework.ScorePlugin](p) || is[framework.PreScorePlugin](p)
}

// binder has a name, so that configurations can mention it: to bind is the work of
// package scheduler.
type binder struct{}

func (binder) Name() string { return "DefaultBinder" }

// preemption is the name of package preempt, and how far it is to look.
type preemption struct {
	args *configv1.DefaultPreemptionArgs
}

func (preemption) Name() string { return preempt.Name }

func (p preemption) options() *preempt.Options {
	return &preempt.Options{MinNodes: int(*p.args.MinCandidateNodesAbsolute), MinPercentage: int(*p.args.MinCandidateNodesPercentage)}
}
