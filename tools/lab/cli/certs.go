package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
)

func certsCommand() *cobra.Command {
	certs := &cobra.Command{
		Use:   "certs",
		Short: "List the cluster's certificates and when they end",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("reading the nodes' certificates"); err != nil {
				return err
			}
			c := open()
			if _, err := c.State(); err != nil {
				return err
			}
			all, err := c.Certificates()
			if err != nil {
				return err
			}
			return printCertificates(cmd.OutOrStdout(), c, all)
		},
	}
	certs.AddCommand(thereToo(renewCommand()))
	return certs
}

func printCertificates(w io.Writer, c *cluster.Cluster, all []pki.Certificate) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "ENDS IN\tSUBJECT\tFILE")
	for _, cert := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\n", days(time.Until(cert.Expires)), cert.Subject, strings.TrimPrefix(cert.Path, c.Home+"/"))
	}
	return t.Flush()
}

func days(d time.Duration) string { return fmt.Sprintf("%d days", int(d.Hours()/24)) }

func renewCommand() *cobra.Command {
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Make certificates anew, and start again who has read the old ones",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("writing the nodes' certificates"); err != nil {
				return err
			}
			s, _, err := chooseStep(nil)
			if err != nil {
				return err
			}
			c := open()
			if err := c.Lock(); err != nil {
				return err
			}
			defer c.Unlock()
			c.Report = newReporter(cmd.ErrOrStderr()).begin
			renewed, err := c.RenewCertificates(cmd.Context(), s, within)
			for _, path := range renewed {
				fmt.Fprintln(cmd.OutOrStdout(), strings.TrimPrefix(path, c.Home+"/"))
			}
			if err == nil && len(renewed) == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "no certificate ends within %s\n", days(within))
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&within, "within", 10*365*24*time.Hour, "only those that end within this `time`")
	return cmd
}

// firstToEnd is a line about the certificate that ends first.
func firstToEnd(c *cluster.Cluster) (string, error) {
	all, err := c.Certificates()
	if err != nil || len(all) == 0 {
		return "", err
	}
	return fmt.Sprintf("certificates: the first to end is %s, in %s (`lab certs`)", filepath.Base(all[0].Path), days(time.Until(all[0].Expires))), nil
}
