package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/k8s-groundup/groundup/tools/lab/trace"
	"github.com/spf13/cobra"
)

func traceCommand() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use:     "trace pod/NAME",
		Short:   "A pod's way through the components: every write, by etcd's revisions, and what it waits for",
		Example: "  lab trace pod/web-node-1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, node, err := firstNode("entering a node")
			if err != nil {
				return err
			}
			s, _, err := chooseStep(nil)
			if err != nil {
				return err
			}
			name := podName(args[0])
			versions, err := history(node, "/registry/pods/"+namespace+"/"+name)
			if err != nil {
				return err
			}
			if len(versions) == 0 {
				return fmt.Errorf("there is no pod %s in namespace %s: `lab kubectl get pods -A` lists them", name, namespace)
			}
			return printStory(cmd.OutOrStdout(), versions, s)
		},
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "default", "`namespace` of the pod")
	return cmd
}

func printStory(w io.Writer, versions []trace.Version, s *step.Step) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "REVISION\tWHO\tWHAT")
	for _, s := range trace.Story(versions) {
		fmt.Fprintf(t, "%d\t%s\t%s\n", s.Revision, s.Who, strings.Join(s.What, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	last := versions[len(versions)-1].Pod
	if waits := trace.Waits(last, slices.Contains(s.Components, "kube-scheduler")); waits != "" {
		fmt.Fprintf(w, "\n%s\n", waits)
	}
	return nil
}

// history reads all versions of a key that etcd has not forgotten, oldest first.
func history(node cluster.Node, key string) (versions []trace.Version, err error) {
	for revision := int64(0); ; {
		v, created, err := versionAt(node, key, revision)
		if err != nil || v == nil {
			return versions, err
		}
		versions = slices.Insert(versions, 0, *v)
		if v.Revision == created {
			return versions, nil
		}
		revision = v.Revision - 1
	}
}

// versionAt reads a key as of a revision, 0 for now. What has been compacted away
// is as if it had never been.
func versionAt(node cluster.Node, key string, revision int64) (v *trace.Version, created int64, err error) {
	cmd := exec.Command("etcdctl", "--endpoints="+etcdEndpoint, "get", key, "-w", "json", "--rev="+strconv.FormatInt(revision, 10))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := node.Run(cmd); err != nil {
		if strings.Contains(said.String(), "compacted") {
			return nil, 0, nil
		}
		return nil, 0, fmt.Errorf("ask etcd: %w\n%s", err, said.Bytes())
	}
	var answer struct {
		KVs []struct {
			CreateRevision int64  `json:"create_revision"`
			ModRevision    int64  `json:"mod_revision"`
			Value          []byte `json:"value"`
		} `json:"kvs"`
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || len(answer.KVs) == 0 {
		return nil, 0, err
	}
	kv := answer.KVs[0]
	v = &trace.Version{Revision: kv.ModRevision}
	return v, kv.CreateRevision, json.Unmarshal(kv.Value, &v.Pod)
}
