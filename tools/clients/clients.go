//go:build tools

// Package clients pins the programs that people look at a cluster with: kubectl
// and etcdctl, from their modules. It stands outside the workspace, so that what
// they depend on does not decide the versions that the steps use. To build them,
//
//	build.sh DIR
package clients

import _ "go.etcd.io/etcd/etcdctl/v3/ctlv3"
