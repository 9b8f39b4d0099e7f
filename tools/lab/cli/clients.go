package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
)

// etcdEndpoint is the socket that etcd listens on in the first node.
const etcdEndpoint = "unix:///var/lib/etcd/etcd/client.sock"

// controlPlane returns the cluster if it has an API server.
func controlPlane() (*cluster.Cluster, error) {
	c := open()
	if _, err := c.State(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.Kubeconfig()); err != nil {
		return nil, errors.New("this cluster has no API server, which comes with step 02: until then ask the kubelet with `lab pods`")
	}
	return c, nil
}

// firstNode returns the cluster and the node of its API server, for a command that
// needs root for the reason that is given.
func firstNode(why string) (*cluster.Cluster, cluster.Node, error) {
	if err := asRoot(why); err != nil {
		return nil, cluster.Node{}, err
	}
	c, err := controlPlane()
	if err != nil {
		return nil, cluster.Node{}, err
	}
	node, err := pick(c, "")
	return c, node, err
}

// podName is what follows pod/ in what a learner has typed.
func podName(arg string) string {
	return strings.TrimPrefix(strings.TrimPrefix(arg, "pods/"), "pod/")
}

func kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Print the path of the administrator's kubeconfig (from step 02)",
		Example: "  export KUBECONFIG=$(lab kubeconfig)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := controlPlane()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), c.Kubeconfig())
			return err
		},
	}
}

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl ARGUMENTS…",
		Short:              "The real kubectl, as the cluster's administrator (from step 02)",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("reading the administrator's key"); err != nil {
				return err
			}
			c, err := controlPlane()
			if err != nil {
				return err
			}
			kubectl := exec.Command(c.Client("kubectl"), args...)
			kubectl.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
			kubectl.Stdin, kubectl.Stdout, kubectl.Stderr = os.Stdin, os.Stdout, os.Stderr
			// It gets Ctrl-C as well, and is not killed for it: it may have a terminal to restore.
			return exitOf(attend(context.WithoutCancel(cmd.Context()), kubectl))
		},
	}
}

func etcdctlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "etcdctl ARGUMENTS…",
		Short:              "The real etcdctl, at the socket of the API server's etcd (from step 02)",
		Example:            "  lab etcdctl get /registry --prefix --keys-only",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, node, err := firstNode("entering a node")
			if err != nil {
				return err
			}
			return shell(node, append([]string{"etcdctl", "--endpoints=" + etcdEndpoint}, args...))
		},
	}
}

// exitOf makes the exit code of a program that was run for somebody ours.
func exitOf(err error) error {
	if code, ok := cluster.Exited(err); ok {
		return ExitCode(code)
	}
	return err
}
