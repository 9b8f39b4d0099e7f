package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/place"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeconfigFile is the path here of the administrator's kubeconfig.
func (t *there) kubeconfigFile() string { return filepath.Join(t.home, "admin.conf") }

// kubeconfig brings the administrator's kubeconfig here and prints its path. The
// server in it is the port of this computer that the place forwards; the API server's
// certificate is good for the loopback address too.
func (t *there) kubeconfig(ctx context.Context, w io.Writer) error {
	forwarder, ok := t.Place.(place.Forwarder)
	if !ok {
		return fmt.Errorf("the machines by %s have no network with this computer, so its kubectl can't reach them: use `lab kubectl`", t.record.On)
	}
	path, err := t.ask(ctx, 1, "kubeconfig")
	if err != nil {
		return err
	}
	cat := t.Command(1, false, "cat", strings.TrimSpace(string(path)))
	var out, said bytes.Buffer
	cat.Stdout, cat.Stderr = &out, &said
	if err := attend(ctx, cat); err != nil {
		return fmt.Errorf("read %s of node-1: %w\n%s", bytes.TrimSpace(path), err, said.Bytes())
	}
	config, err := clientcmd.Load(out.Bytes())
	if err != nil {
		return fmt.Errorf("read %s of node-1: %w", bytes.TrimSpace(path), err)
	}
	for _, cluster := range config.Clusters {
		cluster.Server = "https://" + forwarder.APIServer()
	}
	content, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(t.kubeconfigFile(), content, 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, t.kubeconfigFile())
	return err
}
