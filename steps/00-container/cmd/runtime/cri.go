package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const defaultSocket = "unix:///run/groundup/cri.sock"

// cri is the other end of serve: it asks as a kubelet asks, over the socket, and
// so sees what a kubelet would see. The other commands need no server.
func (a *app) cri() *cobra.Command {
	return &cobra.Command{
		Use:   "cri [SOCKET]",
		Short: "Ask whoever serves the CRI on a socket who it is, and for its pods",
		Long: "Ask whoever serves the CRI on a socket, " + defaultSocket + ` unless another is named,
who it is, and for its pods. It need not be this runtime.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			socket := defaultSocket
			if len(args) > 0 {
				socket = args[0]
			}
			if !strings.Contains(socket, "://") {
				socket = "unix://" + socket
			}
			conn, err := grpc.NewClient(socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
			if err != nil {
				return fmt.Errorf("%s: %w", socket, err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
			defer cancel()
			client := runtimeapi.NewRuntimeServiceClient(conn)
			version, err := client.Version(ctx, &runtimeapi.VersionRequest{})
			if err != nil {
				return fmt.Errorf("nobody serves the CRI on %s (%s): `runtime serve` or a kubelet does", socket, message(err))
			}
			pods, err := client.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
			if err != nil {
				return err
			}
			w := table(c)
			fmt.Fprintf(c.OutOrStdout(), "%s %s, CRI %s\n\n", version.GetRuntimeName(), version.GetRuntimeVersion(), version.GetRuntimeApiVersion())
			fmt.Fprintln(w, "ID\tNAMESPACE\tPOD\tSTATE")
			for _, p := range pods.GetItems() {
				state := strings.ToLower(strings.TrimPrefix(p.GetState().String(), "SANDBOX_"))
				fmt.Fprintf(w, "%.12s\t%s\t%s\t%s\n", p.GetId(), p.GetMetadata().GetNamespace(), p.GetMetadata().GetName(), state)
			}
			return w.Flush()
		},
	}
}
