package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/xray"
	"github.com/spf13/cobra"
)

func xrayCommand() *cobra.Command {
	var asJSON, bare bool
	var container string
	cmd := &cobra.Command{
		Use:   "xray POD",
		Short: "One pod down to Linux, each line with the command that proves it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("looking into a node"); err != nil {
				return err
			}
			c := open()
			pods, err := listPods(cmd.Context(), c, "")
			if err != nil {
				return err
			}
			found := named(pods, args[0])
			if len(found) == 0 {
				return noPod(args[0])
			}
			pod := found[0]
			node, err := pick(c, pod.Spec.NodeName)
			if err != nil {
				return err
			}
			facts, err := xray.Pod(node.PID, pod)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if container != "" {
				return printPID(w, facts, container)
			}
			if asJSON {
				return json.NewEncoder(w).Encode(facts)
			}
			fmt.Fprintf(w, "%s  uid %s\n", bold.Render("pod "+pod.Namespace+"/"+pod.Name), pod.UID)
			printFacts(w, facts, "", !bare)
			if !bare {
				fmt.Fprintf(w, "%s\n", faint.Render("the commands are for `lab shell "+node.Name+"`; --bare leaves them out"))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().BoolVar(&bare, "bare", false, "without the commands")
	cmd.Flags().StringVar(&container, "pid", "", "print only the process id of this `container`, as the node counts")
	return cmd
}

func printPID(w io.Writer, facts []xray.Fact, container string) error {
	for _, f := range facts {
		if f.PID != 0 && strings.TrimPrefix(f.Name, "container ") == container {
			_, err := fmt.Fprintln(w, f.PID)
			return err
		}
	}
	return fmt.Errorf("no process of container %q runs", container)
}

func printFacts(w io.Writer, facts []xray.Fact, indent string, prove bool) {
	for i, f := range facts {
		branch, below := "├─ ", "│  "
		if i == len(facts)-1 {
			branch, below = "└─ ", "   "
		}
		text := fmt.Sprintf("%s%s%s  %s", indent, branch, f.Name, strings.TrimSpace(f.Value))
		if prove {
			text = fmt.Sprintf("%-60s %s", text, faint.Render("# "+f.Proof))
		}
		fmt.Fprintln(w, text)
		printFacts(w, f.Facts, indent+below, prove)
	}
}
