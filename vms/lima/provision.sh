#!/bin/sh
# What a Debian 12 machine needs to be a node of the labs and to build them. Lima
# and Vagrant run it as root, at every start: it does what is still to be done.
set -eu
export DEBIAN_FRONTEND=noninteractive

# Go comes from Debian's backports; it fetches the release that go.work asks for.
sources=/etc/apt/sources.list.d/debian.sources
if [ -f $sources ] && ! grep -q backports $sources; then
	sed -i 's/^Suites: bookworm bookworm-updates$/& bookworm-backports/' $sources
fi

missing=
for package in make git gcc libc6-dev pkg-config libseccomp-dev nftables iproute2 curl jq strace; do
	dpkg -s $package >/dev/null 2>&1 || missing="$missing $package"
done
if [ -n "$missing" ] || ! command -v go >/dev/null; then
	echo "installing:$missing golang-go"
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends $missing
	apt-get install -y -qq --no-install-recommends -t bookworm-backports golang-go
fi

cat >/etc/modules-load.d/groundup.conf <<'END'
overlay
br_netfilter
vxlan
END
xargs -n1 modprobe </etc/modules-load.d/groundup.conf
