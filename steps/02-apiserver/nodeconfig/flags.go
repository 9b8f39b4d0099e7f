package nodeconfig

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"
)

// Flags are the command line of step 01, and what belongs to an API server. They
// mean what upstream's mean.
type Flags struct {
	config.Flags

	Kubeconfig   string
	RegisterNode bool
	NodeLabels   map[string]string
	Taints       []string
}

// Add registers the flags.
func (f *Flags) Add(fs *pflag.FlagSet) {
	f.Flags.Add(fs)
	fs.StringVar(&f.Kubeconfig, "kubeconfig", "", "`FILE` that tells where the API server is, and who this node is")
	fs.BoolVar(&f.RegisterNode, "register-node", true, "make the Node object; registerNode of the configuration, if false, wins")
	fs.StringToStringVar(&f.NodeLabels, "node-labels", nil, "`KEY=VALUE,…` labels of the Node object, when it is made")
	fs.StringSliceVar(&f.Taints, "register-with-taints", nil, "`KEY=VALUE:EFFECT,…` taints of the Node object, when it is made; registerWithTaints of the configuration wins")
}

// Apply lets the flags that the configuration has a field for fill that field.
func (f *Flags) Apply(c *config.Configuration) error {
	f.Flags.Apply(c)
	if f.Kubeconfig == "" {
		return errors.New("--kubeconfig is not given: without an API server, run the kubelet of step 01")
	}
	*c.RegisterNode = *c.RegisterNode && f.RegisterNode
	for name, value := range f.NodeLabels {
		if problems := append(validation.IsQualifiedName(name), validation.IsValidLabelValue(value)...); problems != nil {
			return fmt.Errorf("--node-labels: %s=%s: %s", name, value, strings.Join(problems, "; "))
		}
	}
	taints, err := parseTaints(f.Taints)
	if err != nil {
		return fmt.Errorf("--register-with-taints: %w", err)
	}
	if len(c.RegisterWithTaints) == 0 {
		c.RegisterWithTaints = taints
	}
	return nil
}

func parseTaints(texts []string) (taints []corev1.Taint, err error) {
	for _, text := range texts {
		taint, err := parseTaint(text)
		if err != nil {
			return nil, err
		}
		taints = append(taints, taint)
	}
	return taints, nil
}

// parseTaint reads KEY=VALUE:EFFECT or KEY:EFFECT.
func parseTaint(text string) (corev1.Taint, error) {
	rest, effect, ok := strings.Cut(text, ":")
	key, value, _ := strings.Cut(rest, "=")
	t := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
	switch t.Effect {
	case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
	default:
		ok = false
	}
	if !ok || len(validation.IsQualifiedName(key)) > 0 {
		return t, fmt.Errorf("got %q, want KEY=VALUE:EFFECT, with the effect NoSchedule, PreferNoSchedule or NoExecute", text)
	}
	return t, nil
}
