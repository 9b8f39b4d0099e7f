// Package plugins holds the questions that a scheduler asks: can this pod run
// on that node, and how good would it be there?
//
// Each plugin is one file, has the name that it has in upstream's configuration,
// and gives upstream's reasons word for word. The shortest ones, NodeName and
// NodeUnschedulable, show all there is to a filter; TaintToleration filters and
// scores; InterPodAffinity and PodTopologySpread, the longest, count pods by
// topology domain first. A property test (tools/upstream/schedulertest) asks
// upstream's plugins the same questions about thousands of random clusters.
//
// To write one, implement framework.FilterPlugin or framework.ScorePlugin, and
// give it a place in [New].
package plugins

import (
	"fmt"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"k8s.io/apimachinery/pkg/runtime"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// A Default is a plugin of the default profile. Weight is what its score counts,
// 0 for one that does not score.
type Default struct {
	Name   string
	Weight int64
}

// Defaults are the plugins of the default profile in the order in which they are
// asked. Those that concern volumes, devices and groups of pods are left out:
// NodeDeclaredFeatures, VolumeBinding, VolumeZone, VolumeRestrictions,
// NodeVolumeLimits, DynamicResources, GangScheduling.
var Defaults = []Default{
	{"SchedulingGates", 0},
	{"PrioritySort", 0},
	{"NodeName", 0},
	{"NodeUnschedulable", 0},
	{"TaintToleration", 3},
	{"NodeAffinity", 2},
	{"NodePorts", 0},
	{"NodeResourcesFit", 1},
	{"PodTopologySpread", 2},
	{"InterPodAffinity", 2},
	{"NodeResourcesBalancedAllocation", 1},
	{"ImageLocality", 1},
}

// New makes a plugin by its name. args are those of the plugin's configuration,
// a *configv1.…Args or nil for the defaults. together is for PodTopologySpread
// and may be nil.
func New(name string, args runtime.Object, together Together) (framework.Plugin, error) {
	plugin, err := newPlugin(name, args, together)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", name, err)
	}
	return plugin, nil
}

func newPlugin(name string, args runtime.Object, together Together) (framework.Plugin, error) {
	switch name {
	case "SchedulingGates":
		return SchedulingGates{}, nil
	case "PrioritySort":
		return PrioritySort{}, nil
	case "NodeName":
		return NodeName{}, nil
	case "NodeUnschedulable":
		return NodeUnschedulable{}, nil
	case "TaintToleration":
		return TaintToleration{}, nil
	case "NodePorts":
		return NodePorts{}, nil
	case "ImageLocality":
		return ImageLocality{}, nil
	case "NodeAffinity":
		args, err := as[*configv1.NodeAffinityArgs](args)
		if err != nil {
			return nil, err
		}
		return NewNodeAffinity(args)
	case "NodeResourcesFit":
		args, err := as[*configv1.NodeResourcesFitArgs](args)
		if err != nil {
			return nil, err
		}
		return NewNodeResourcesFit(args)
	case "NodeResourcesBalancedAllocation":
		args, err := as[*configv1.NodeResourcesBalancedAllocationArgs](args)
		return NewNodeResourcesBalancedAllocation(args), err
	case "InterPodAffinity":
		args, err := as[*configv1.InterPodAffinityArgs](args)
		return NewInterPodAffinity(args), err
	case "PodTopologySpread":
		args, err := as[*configv1.PodTopologySpreadArgs](args)
		if err != nil {
			return nil, err
		}
		return NewPodTopologySpread(args, together)
	}
	return nil, fmt.Errorf("there is no plugin of this name")
}

// as returns args as the type that a plugin takes, nil for nil.
func as[T runtime.Object](args runtime.Object) (T, error) {
	var none T
	if args == nil {
		return none, nil
	}
	typed, ok := args.(T)
	if !ok {
		return none, fmt.Errorf("args are a %T, want a %T", args, none)
	}
	return typed, nil
}
