// Command kube-apiserver is the server that everything in a cluster talks to, and
// the only one that talks to etcd.
//
// With no flag but --data-dir it needs nothing else: it runs etcd inside, makes its
// own certificates, listens on 127.0.0.1:6443, and writes a kubeconfig for the
// administrator. With upstream's flags it is set up as upstream's is.
//
// kube-apiserver etcd snapshot|restore|defrag looks after the data.
package main

import (
	"os"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/apiserver"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
)

func main() {
	os.Exit(apiserver.Main(apiserver.API{Rows: rows.All(), Scheme: rows.Scheme()}, os.Args[1:]))
}
