// Hollow-nodes registers nodes that have no machine and says that what is bound
// to them runs (package hollow). It is what `lab fake-nodes` starts.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/hollow"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hollow-nodes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := pflag.NewFlagSet("hollow-nodes", pflag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "`file` that says where the API server is, and who we are")
	nodes := flags.Int("nodes", 10, "how many `nodes` there are; 0 takes away what an earlier run has left")
	zones := flags.Int("zones", 3, "how many `zones` they are dealt out over")
	cpu := flags.String("cpu", "8", "processors of each node, as a `quantity`")
	memory := flags.String("memory", "32Gi", "memory of each node, as a `quantity`")
	pods := flags.Int64("pods", 110, "how many `pods` a node takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *nodes < 0 || *zones < 0 || *pods < 0 {
		return fmt.Errorf("--nodes, --zones and --pods can't be negative")
	}
	allocatable := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(*pods, resource.DecimalSI)}
	for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: *cpu, corev1.ResourceMemory: *memory} {
		q, err := resource.ParseQuantity(text)
		if err != nil {
			return fmt.Errorf("--%s=%q: %w", name, text, err)
		}
		allocatable[name] = q
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("read --kubeconfig: %w", err)
	}
	config.QPS, config.ContentType = -1, "application/vnd.kubernetes.protobuf"
	config.UserAgent = "hollow-nodes"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	fleet := &hollow.Fleet{
		Client: client, Nodes: *nodes, Clock: clock.RealClock{}, Log: slog.Default(),
		Model: hollow.Model{Allocatable: allocatable, Zones: *zones},
	}
	return fleet.Run(ctx)
}
