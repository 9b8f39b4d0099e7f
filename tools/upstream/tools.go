//go:build tools

// Package upstream pins the real components, to build them from their modules:
// the judges and the peers of what the steps build.
//
// It stands outside the workspace: k8s.io/kubernetes builds as a dependency only
// with replace lines, which would apply to every module of a workspace. The
// go.mod is upstream's own, with the published modules in place of its staging
// folder.
package upstream

import (
	_ "github.com/onsi/ginkgo/v2"

	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubelet"
	_ "k8s.io/kubernetes/test/e2e/framework"
	_ "k8s.io/kubernetes/test/images/agnhost"
)
