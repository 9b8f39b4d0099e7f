package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/host"
	"github.com/spf13/cobra"
)

func inviteCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "invite NODE --address ADDRESS",
		Short: "Write what another machine needs to join this machine's control plane",
		Long: `invite prints the authority's certificate, and a key and certificates for the
kubelet of a node that is another machine. There, lab up takes it. It is as secret
as the key in it.`,
		Example: `  lab invite node-2 --address 192.168.1.12 >node-2.json    # on the first machine
  lab up --on host --join node-2.json                      # on the second`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var n int
			if _, err := fmt.Sscanf(args[0], "node-%d", &n); err != nil || args[0] != cluster.NodeName(n) {
				return fmt.Errorf("%q is no name of a node: want node-2, or node-3 …", args[0])
			}
			if err := asRoot("signing certificates"); err != nil {
				return err
			}
			c := open()
			if err := c.Lock(); err != nil {
				return err
			}
			defer c.Unlock()
			invitation, err := c.Invite(n, address)
			if err != nil {
				return err
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(invitation)
		},
	}
	cmd.Flags().StringVar(&address, "address", "", "the `address` of that machine")
	_ = cmd.MarkFlagRequired("address") // it is defined above
	return cmd
}

// addressCommand is for who starts machines and has to name the address of one.
func addressCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "address",
		Short:  "Print the address that this machine has as a node",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := host.Address()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), address)
			return err
		},
	}
}

// readInvitation reads the invitation in a file, or in standard input if that is
// named "-", and makes sure that it is for this machine.
func readInvitation(file string, stdin io.Reader) (*cluster.Invitation, error) {
	if file == "-" {
		// Now, because nobody can read standard input twice.
		if err := asRoot("starting nodes", "--no-build"); err != nil {
			return nil, err
		}
	} else {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	invitation, err := cluster.ReadInvitation(stdin)
	if err != nil {
		return nil, err
	}
	mine, err := host.Has(invitation.IP)
	if err == nil && !mine {
		err = errors.New("the invitation is for a machine with the address " + invitation.IP + ", which this one has not")
	}
	return invitation, err
}
