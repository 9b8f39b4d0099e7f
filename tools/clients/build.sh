#!/bin/sh
# Builds kubectl and etcdctl into a folder: build.sh DIR
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
version=$(GOWORK=off go list -m -f '{{.Version}}' k8s.io/kubectl) # v0.37.1 is of Kubernetes v1.37.1
minor=${version#v0.}
GOWORK=off CGO_ENABLED=0 go build -trimpath -o "$out/" \
	-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1.$minor -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%%.*}" \
	./kubectl go.etcd.io/etcd/etcdctl/v3
