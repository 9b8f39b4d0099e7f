package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
)

func whyCommand() *cobra.Command {
	var namespace string
	var rows int
	cmd := &cobra.Command{
		Use:   "why pod/NAME",
		Short: "Why a pod went to its node, or to none: node × plugin, of the real decision (from step 03)",
		Long: `why asks the scheduler for its last decision about a pod. Nothing is computed
again: the table is what the plugins said of each node when it was decided.`,
		Example: "  lab why pod/web",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rows < 0 {
				return fmt.Errorf("--nodes %d: it can't be negative", rows)
			}
			c, node, err := firstNode("reading the administrator's key")
			if err != nil {
				return err
			}
			name := podName(args[0])
			ask := url.URL{Scheme: "https", Host: net.JoinHostPort(node.IP, "10259"), Path: "/debug/why", RawQuery: url.Values{"pod": {namespace + "/" + name}}.Encode()}
			body, err := c.Get(cmd.Context(), ask.String())
			if err != nil {
				if now, asked := podsNamed(cmd.Context(), c, node, namespace, name); asked == nil {
					if no := notForTheScheduler(now, namespace, name); no != nil {
						return no
					}
				}
				return fmt.Errorf("ask our kube-scheduler (step 03; upstream's does not tell): %w", err)
			}
			defer body.Close()
			var e decide.Explanation
			if err := json.NewDecoder(body).Decode(&e); err != nil {
				return err
			}
			now, err := podsNamed(cmd.Context(), c, node, namespace, name)
			if err != nil {
				return err
			}
			note, err := stillTrue(e, now)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), note)
			return printWhy(cmd.OutOrStdout(), e, rows)
		},
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "default", "`namespace` of the pod")
	cmd.Flags().IntVar(&rows, "nodes", 20, "show at most so many `nodes`, the best ones")
	return cmd
}

// podsNamed returns the pod of that name, if there is one.
func podsNamed(ctx context.Context, c *cluster.Cluster, node cluster.Node, namespace, name string) ([]corev1.Pod, error) {
	ask := url.URL{
		Scheme: "https", Host: net.JoinHostPort(node.IP, "6443"), Path: "/api/v1/namespaces/" + namespace + "/pods",
		RawQuery: url.Values{"fieldSelector": {fields.OneTermEqualSelector("metadata.name", name).String()}}.Encode(),
	}
	body, err := c.Get(ctx, ask.String())
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var list corev1.PodList
	err = json.NewDecoder(body).Decode(&list)
	return list.Items, err
}

// notForTheScheduler is why no scheduler has been asked about a pod: there is none, it is
// of the kind that names its node itself, or it is not to be looked at yet.
func notForTheScheduler(now []corev1.Pod, namespace, name string) error {
	switch {
	case len(now) == 0:
		return fmt.Errorf("there is no pod %s in namespace %s: `lab kubectl get pods -A` lists them", name, namespace)
	case now[0].Annotations[corev1.MirrorPodAnnotationKey] != "":
		return fmt.Errorf("no scheduler was asked about pod %s: it is static, and its kubelet runs it from a file on %s", name, now[0].Spec.NodeName)
	case len(now[0].Spec.SchedulingGates) > 0:
		return fmt.Errorf("no scheduler was asked about pod %s yet: its scheduling gate %s holds it until somebody takes that out of spec.schedulingGates", name, now[0].Spec.SchedulingGates[0].Name)
	}
	return nil
}

// stillTrue looks whether a decision is about the pod that has the name now, as one that
// was deleted and made again waits for a decision of its own, and whether it is what
// became of the pod: somebody else may have bound it.
func stillTrue(e decide.Explanation, now []corev1.Pod) (note string, err error) {
	switch {
	case len(now) == 0:
		return fmt.Sprintf("There is no pod %s any more. This was the last decision about it:\n", e.Pod), nil
	case now[0].UID != e.UID:
		return "", fmt.Errorf("no decision about pod %s yet: the last one was about an earlier pod of that name, UID %s, and this one's is %s", e.Pod, e.UID, now[0].UID)
	case now[0].Spec.NodeName == e.Node:
		return "", nil
	case now[0].Spec.NodeName == "":
		return fmt.Sprintf("Pod %s is not on its node: it is being bound, or could not be (`lab kubectl describe pod` says why). This was the last decision about it:\n", e.Pod), nil
	default:
		return fmt.Sprintf("Pod %s is on %s: somebody else has bound it. This was the last decision of our kube-scheduler about it:\n", e.Pod, now[0].Spec.NodeName), nil
	}
}

// printWhy prints a decision: its outcome, what was asked, and a line for each
// node, with what a filter had against it or how it was scored.
func printWhy(w io.Writer, e decide.Explanation, rows int) error {
	if e.Node != "" {
		fmt.Fprintf(w, "%s → %s\n", e.Pod, bold.Render(e.Node))
	} else {
		fmt.Fprintf(w, "%s → no node: %s\n", e.Pod, e.Message)
	}
	fmt.Fprintf(w, "%d of %d nodes were looked at, by %s\n\n", e.Looked, e.Total, strings.Join(e.Filters, ", "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := []string{"NODE", "FILTERS"}
	for _, s := range e.Scores {
		weight := ""
		if s.Weight != 1 {
			weight = " ×" + strconv.FormatInt(s.Weight, 10)
		}
		head = append(head, s.Plugin+weight)
	}
	if len(e.Scores) > 0 {
		head = append(head, "TOTAL")
	}
	fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, n := range e.Nodes[:min(rows, len(e.Nodes))] {
		fmt.Fprintln(t, strings.Join(whyRow(n), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more := len(e.Nodes) - rows; more > 0 {
		fmt.Fprintf(w, "… and %d more (--nodes %d)\n", more, len(e.Nodes))
	}
	return nil
}

func whyRow(n decide.Row) []string {
	if n.RejectedBy != "" {
		return []string{n.Node, "✗ " + n.RejectedBy + ": " + strings.Join(n.Reasons, ", ")}
	}
	row := []string{n.Node, "✓"}
	for _, s := range n.Scores {
		row = append(row, strconv.FormatInt(s, 10))
	}
	if len(n.Scores) > 0 {
		row = append(row, strconv.FormatInt(n.Total, 10))
	}
	return row
}
