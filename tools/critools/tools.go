//go:build tools

// Package critools pins crictl and critest, upstream's client and conformance
// suite for the CRI. It stands outside the workspace, so that what they depend
// on does not decide the versions that the steps use. Here, with GOWORK=off,
//
//	go build -o DIR/crictl sigs.k8s.io/cri-tools/cmd/crictl
//	go test -c -o DIR/critest sigs.k8s.io/cri-tools/cmd/critest
//
// Critest is a test binary; these imports pin what it needs.
package critools

import (
	_ "github.com/onsi/ginkgo/v2"
	_ "github.com/onsi/gomega"

	_ "sigs.k8s.io/cri-tools/pkg/benchmark"
	_ "sigs.k8s.io/cri-tools/pkg/common"
	_ "sigs.k8s.io/cri-tools/pkg/framework"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
	_ "sigs.k8s.io/cri-tools/pkg/version"
)
