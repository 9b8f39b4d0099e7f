package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
)

// nodes makes each machine, from number first on, the node that the record asks for.
// Number 1 has the authority and, from step 02 on, the control plane; the others join it.
func (t *there) nodes(ctx context.Context, w io.Writer, first int) error {
	args := []string{"up", fmt.Sprintf("%02d", t.record.Step), "--no-build", "--on", "host"}
	for n := first; n <= t.record.Nodes; n++ {
		fmt.Fprintf(w, "\n%s\n", bold.Render(cluster.NodeName(n)))
		var err error
		if n == 1 {
			err = t.first(ctx, args)
		} else {
			err = t.join(ctx, n, args)
		}
		if err := t.keepIfFailed(n, err); err != nil {
			if n > 1 {
				err = t.keepIfFailed(1, err) // the fault may be the control plane's
			}
			return err
		}
	}
	return nil
}

func (t *there) first(ctx context.Context, up []string) error {
	if address := t.Address(1); address != "" {
		up = append(slices.Clip(up), "--address", address)
	}
	return t.lab(ctx, 1, up...)
}

// join hands machine n an invitation from the first one. It goes from program to
// program: it is in no file here, and in no argument.
func (t *there) join(ctx context.Context, n int, up []string) error {
	address := t.Address(n)
	if address == "" {
		b, err := t.ask(ctx, n, "address")
		if err != nil {
			return err
		}
		address = strings.TrimSpace(string(b))
	}
	invitation, err := t.ask(ctx, 1, "invite", cluster.NodeName(n), "--address", address)
	if err != nil {
		return err
	}
	cmd := t.Command(n, false, append(append([]string{"bin/lab"}, up...), "--join", "-")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(invitation), os.Stdout, os.Stderr
	return exitOf(attend(ctx, cmd))
}

// ask returns what lab prints in machine n.
func (t *there) ask(ctx context.Context, n int, args ...string) ([]byte, error) {
	cmd := t.Command(n, false, append([]string{"bin/lab"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := attend(ctx, cmd); err != nil {
		return nil, fmt.Errorf("lab %s on %s: %w\n%s", args[0], cluster.NodeName(n), err, said.Bytes())
	}
	return out.Bytes(), nil
}
