package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/etcd"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/etcd/embedded"
)

const etcdUsage = `usage: kube-apiserver etcd COMMAND
  snapshot FILE --data-dir DIR   write the data of the server that runs in DIR to FILE
  restore FILE --data-dir DIR    make the data of DIR, where there must be none, from FILE
  defrag --data-dir DIR          give unused space back, and take a space alarm back
Instead of --data-dir, --etcd-servers names a cluster, though not for restore`

// etcdCommand looks after the data. It talks to the running server's etcd through
// its socket; only restore needs that nothing runs.
func etcdCommand(ctx context.Context, args []string, stderr io.Writer) error {
	f := &flags{}
	fs := pflag.NewFlagSet("kube-apiserver etcd", pflag.ContinueOnError)
	fs.StringVar(&f.dataDir, "data-dir", "", "`directory` of the server")
	fs.StringSliceVar(&f.etcdServers, "etcd-servers", nil, "`URLs` of an etcd cluster")
	fs.StringVar(&f.etcdCA, "etcd-cafile", "", "`file` with the authority that has signed etcd's certificate")
	fs.StringVar(&f.etcdCert, "etcd-certfile", "", "`file` with the certificate to show etcd")
	fs.StringVar(&f.etcdKey, "etcd-keyfile", "", "`file` with the key of that certificate")
	fs.Usage = func() { fmt.Fprintln(stderr, etcdUsage) }
	if err := fs.Parse(args); err != nil {
		return err
	}
	dir := filepath.Join(f.dataDir, "etcd")
	command, file := fs.Arg(0), fs.Arg(1)
	switch {
	case command == "restore" && file != "" && f.dataDir != "" && fs.NArg() == 2:
		return embedded.Restore(file, dir, f.logger(stderr))
	case f.dataDir != "" && len(f.etcdServers) == 0:
		f.etcdServers = []string{"unix://" + embedded.Socket(dir)}
	}
	if len(f.etcdServers) == 0 {
		return errors.New(etcdUsage)
	}
	client, err := dial(f, f.etcdServers)
	if err != nil {
		return err
	}
	defer client.Close()
	store := etcd.New(client)
	switch {
	case command == "snapshot" && file != "" && fs.NArg() == 2:
		return store.Snapshot(ctx, file)
	case command == "defrag" && fs.NArg() == 1:
		return errors.Join(store.Defragment(ctx), store.Disarm(ctx))
	}
	return errors.New(etcdUsage)
}
