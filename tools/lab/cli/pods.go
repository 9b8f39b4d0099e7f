package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/jsonpath"
)

func podsCommand() *cobra.Command {
	var output, node string
	cmd := &cobra.Command{
		Use:   "pods [NAME]",
		Short: "List the pods that the kubelets run, asked from the kubelets themselves",
		Long: `pods asks each node's kubelet for its pods, over TLS with the administrator's
certificate: GET https://NODE:10250/pods. It is kubectl get pods for as long as
there is no API server.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("reading the administrator's key"); err != nil {
				return err
			}
			pods, err := listPods(cmd.Context(), open(), node)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if pods = named(pods, args[0]); len(pods) == 0 {
					return noPod(args[0])
				}
			}
			return writePods(cmd.OutOrStdout(), pods, output, len(args) == 1)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`format`: json, or a JSONPath template such as '{.status.podIP}'")
	cmd.Flags().StringVar(&node, "node", "", "only the pods of this `node`")
	return cmd
}

// listPods asks the kubelet of one node, or of all.
func listPods(ctx context.Context, c *cluster.Cluster, only string) ([]corev1.Pod, error) {
	nodes, err := c.Nodes()
	if err != nil {
		return nil, err
	}
	if state, err := c.State(); err == nil && state.Step == 0 {
		return nil, errors.New("step 00 has no kubelet, and so no pods: it comes with step 01. Until then there is `lab shell -- runtime ps`")
	}
	if only != "" {
		node, err := pick(c, only)
		if err != nil {
			return nil, err
		}
		nodes = []cluster.Node{node}
	}
	var all []corev1.Pod
	for _, n := range nodes {
		pods, err := c.Pods(ctx, n)
		if err != nil {
			return nil, err
		}
		all = append(all, pods...)
	}
	return all, nil
}

func noPod(name string) error {
	return fmt.Errorf("no kubelet runs a pod %q: `lab pods` lists them", name)
}

// named finds a pod by its name, or a static pod by the name in its manifest.
func named(pods []corev1.Pod, name string) []corev1.Pod {
	name = strings.TrimPrefix(name, "pod/")
	var found []corev1.Pod
	for _, p := range pods {
		if p.Name == name || p.Name == name+"-"+p.Spec.NodeName {
			found = append(found, p)
		}
	}
	return found
}

func writePods(w io.Writer, pods []corev1.Pod, format string, one bool) error {
	var object any = corev1.PodList{Items: pods}
	if one {
		object = pods[0]
	}
	switch {
	case format == "":
		printPods(w, pods)
		return nil
	case format == "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(object)
	case !strings.Contains(format, "{"):
		return fmt.Errorf("output format %q: say json, or a JSONPath template such as '{.status.podIP}'", format)
	}
	path := jsonpath.New("output").AllowMissingKeys(true)
	if err := path.Parse(format); err != nil {
		return fmt.Errorf("output format: %w", err)
	}
	// By way of JSON, so that names in the template are those of the API.
	b, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var generic any
	if err := json.Unmarshal(b, &generic); err != nil {
		return err
	}
	if err := path.Execute(w, generic); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w)
	return err
}

func printPods(w io.Writer, pods []corev1.Pod) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "NAMESPACE\tNAME\tREADY\tSTATUS\tRESTARTS\tAGE\tIP\tNODE")
	for _, p := range pods {
		ready, restarts := 0, int32(0)
		for _, s := range p.Status.ContainerStatuses {
			if s.Ready {
				ready++
			}
			restarts += s.RestartCount
		}
		age := "-"
		if p.Status.StartTime != nil {
			age = short(time.Since(p.Status.StartTime.Time).Truncate(time.Second))
		}
		fmt.Fprintf(t, "%s\t%s\t%d/%d\t%s\t%d\t%s\t%s\t%s\n", p.Namespace, p.Name, ready, len(p.Spec.Containers), state(p), restarts, age, p.Status.PodIP, p.Spec.NodeName)
	}
	t.Flush()
}

// state is the one word that kubectl would show for the pod.
func state(p corev1.Pod) string {
	if p.DeletionTimestamp != nil {
		return "Terminating"
	}
	for _, s := range p.Status.InitContainerStatuses {
		if s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing" {
			return "Init:" + s.State.Waiting.Reason
		}
		if s.State.Terminated != nil && s.State.Terminated.ExitCode != 0 {
			return "Init:" + s.State.Terminated.Reason
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Waiting != nil && s.State.Waiting.Reason != "" {
			return s.State.Waiting.Reason
		}
		if s.State.Terminated != nil && s.State.Terminated.Reason != "" {
			return s.State.Terminated.Reason
		}
	}
	if p.Status.Reason != "" {
		return p.Status.Reason
	}
	return string(p.Status.Phase)
}

func allReady(pods []corev1.Pod) bool {
	return !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !cluster.IsReady(p) })
}
