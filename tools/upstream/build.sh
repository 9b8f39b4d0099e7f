#!/bin/sh
# Builds upstream's components at the pinned version: build.sh DIR [NAME…]. Without
# names, all. Minutes when nothing has been built before.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cd "$(dirname "$0")"
export GOWORK=off CGO_ENABLED=0
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
at=k8s.io/component-base/version
ldflags="-s -w -X $at.gitVersion=$version -X $at.gitMajor=1 -X $at.gitMinor=${minor%%.*} -X k8s.io/client-go/pkg/version.gitVersion=$version"
[ $# -gt 0 ] || set -- kube-apiserver kube-scheduler kube-controller-manager kubelet etcd agnhost e2e.test
for name; do
	echo "build $name $version"
	case $name in
	e2e.test) go test -c -trimpath -ldflags "$ldflags" -o "$out/e2e.test" k8s.io/kubernetes/test/e2e ;;
	agnhost) go build -trimpath -ldflags "$ldflags" -o "$out/" k8s.io/kubernetes/test/images/agnhost ;;
	etcd) go build -trimpath -ldflags '-s -w' -o "$out/etcd" go.etcd.io/etcd/server/v3 ;;
	*) go build -trimpath -ldflags "$ldflags" -o "$out/" "k8s.io/kubernetes/cmd/$name" ;;
	esac
done
