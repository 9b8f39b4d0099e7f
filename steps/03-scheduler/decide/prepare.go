package decide

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// prepared is what the plugins say after a look at the whole cluster.
type prepared struct {
	filters  Filters
	local    bool              // all of them are of Local plugins
	only     []string          // unless nil, the only nodes worth a look
	narrowed []string          // the plugins that said so
	others   *framework.Status // what the nodes not in only get
}

// prepare asks all of the profile's PreFilter plugins. The error is a *FitError
// if one of them says that no node can be right.
func prepare(snapshot *framework.Snapshot, pod *framework.Pod, profile *Profile) (prepared, error) {
	p := prepared{filters: make(Filters, 0, len(profile.Filters)), local: true}
	var early *FitError
	for _, plugin := range profile.Filters {
		switch plugin := plugin.(type) {
		case framework.PreFilterPlugin:
			result, status := plugin.PreFilter(snapshot, pod)
			switch {
			case status.Rejected():
				// A no that preemption could change does not keep the
				// other plugins from being prepared: it will ask them.
				early = &FitError{Total: len(snapshot.Nodes), Early: status, Plugin: plugin.Name()}
				if status.Code == framework.UnschedulableAndUnresolvable {
					return p, early
				}
			case !status.OK():
				return p, fmt.Errorf("running PreFilter plugin %q: %s", plugin.Name(), status.Message())
			default:
				if result.Filter != nil {
					p.filters = append(p.filters, namedFilter{plugin.Name(), result.Filter})
					p.local = p.local && isLocal(plugin)
				}
				if result.Nodes != nil {
					p.narrow(plugin.Name(), result.Nodes)
				}
				if p.only != nil && len(p.only) == 0 {
					status := framework.RejectForGood(p.simultaneously())
					return p, &FitError{Total: len(snapshot.Nodes), Early: status, Narrowed: p.narrowed}
				}
			}
		case framework.FilterPlugin:
			p.filters = append(p.filters, namedFilter{plugin.Name(), bound{plugin, pod}})
			p.local = p.local && isLocal(plugin)
		default:
			return p, fmt.Errorf("plugin %q has neither Filter nor PreFilter", plugin.Name())
		}
	}
	if early != nil {
		return p, early
	}
	if p.only != nil {
		p.others = framework.RejectForGood(fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", p.narrowed))
	}
	return p, nil
}

// narrow keeps the nodes that all plugins so far agree on.
func (p *prepared) narrow(plugin string, nodes []string) {
	if p.only == nil {
		p.only = nodes
	} else {
		p.only = slices.DeleteFunc(slices.Clone(p.only), func(name string) bool { return !slices.Contains(nodes, name) })
	}
	p.narrowed = append(p.narrowed, plugin)
	slices.Sort(p.narrowed)
}

func (p *prepared) simultaneously() string {
	if len(p.narrowed) == 1 {
		return "node(s) didn't satisfy plugin " + p.narrowed[0]
	}
	return fmt.Sprintf("node(s) didn't satisfy plugin(s) [%s] simultaneously", strings.Join(p.narrowed, " "))
}

// candidates returns the nodes to look at.
func (p *prepared) candidates(snapshot *framework.Snapshot) []*framework.Node {
	if p.only == nil {
		return snapshot.Nodes
	}
	var nodes []*framework.Node
	for _, name := range p.only {
		if node := snapshot.Node(name); node != nil {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// prepareScore returns nil without an error if the plugin has nothing to say.
func prepareScore(snapshot *framework.Snapshot, pod *framework.Pod, nodes []*framework.Node, plugin framework.Plugin) (framework.Score, error) {
	switch plugin := plugin.(type) {
	case framework.PreScorePlugin:
		score, status := plugin.PreScore(snapshot, pod, nodes)
		if !status.OK() {
			return nil, fmt.Errorf("running PreScore plugin %q: %w", plugin.Name(), errors.New(status.Message()))
		}
		return score, nil
	case framework.ScorePlugin:
		normalizer, ok := plugin.(framework.Normalizer)
		if ok {
			return normalizedScore{boundScore{plugin, pod}, normalizer}, nil
		}
		return boundScore{plugin, pod}, nil
	}
	return nil, fmt.Errorf("plugin %q has neither Score nor PreScore", plugin.Name())
}

// bound is a plugin that looks at one node at a time, made for one pod.
type bound struct {
	plugin framework.FilterPlugin
	pod    *framework.Pod
}

func (b bound) Filter(node *framework.Node) *framework.Status { return b.plugin.Filter(b.pod, node) }

type boundScore struct {
	plugin framework.ScorePlugin
	pod    *framework.Pod
}

func (b boundScore) Score(node *framework.Node) int64 { return b.plugin.Score(b.pod, node) }

type normalizedScore struct {
	boundScore
	framework.Normalizer
}
