package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func getCommand() *cobra.Command {
	var node string
	var anonymous bool
	cmd := &cobra.Command{
		Use:   "get PATH|URL",
		Short: "Fetch a path from a node's kubelet with the administrator's certificate, or any URL",
		Example: `  lab get /healthz
  lab get /stats/summary
  lab get http://10.244.1.2:8080/`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			url := args[0]
			if strings.HasPrefix(url, "http://") {
				return getPlain(cmd, url)
			}
			if err := asRoot("reading the administrator's key"); err != nil {
				return err
			}
			c := open()
			if !strings.HasPrefix(url, "/") && !strings.HasPrefix(url, "https://") {
				return fmt.Errorf("%q is neither a path of the kubelet, such as /healthz, nor an http:// or https:// URL", url)
			}
			if strings.HasPrefix(url, "/") {
				n, err := pick(c, node)
				if err != nil {
					return err
				}
				url = n.Kubelet() + url
			}
			get := c.Get
			if anonymous {
				get = c.GetAnonymous
			}
			body, err := get(cmd.Context(), url)
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.Copy(cmd.OutOrStdout(), body)
			return err
		},
	}
	cmd.Flags().StringVar(&node, "node", "", "of this `node` (default: the first)")
	cmd.Flags().BoolVar(&anonymous, "anonymous", false, "show no certificate")
	return cmd
}

func getPlain(cmd *cobra.Command, url string) error {
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(cmd.OutOrStdout(), resp.Body); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
