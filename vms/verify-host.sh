#!/bin/sh
# Runs inside a machine, which it makes a node: `lab up --on host`. It verifies the
# step, takes the node away, and looks for anything that is left.
#
#   vms/verify-host.sh 01
set -eu
cd "$(dirname "$0")/.."
step=$1
work=$(mktemp -d)

# What a node makes: each line is one thing that can be left behind.
things() {
	ps -eo args= | grep -E '/opt/groundup|runtime-shim|[p]ause$' | grep -v grep || :
	awk '{print "mount", $2}' /proc/mounts
	ls /sys/class/net | sed 's/^/interface /'
	find /sys/fs/cgroup -type d \( -path '*kubepods*' -o -path '*groundup*' \) ! -path '*groundup-agent*'
	nft list tables
	sed 's/^/ip_forward /' /proc/sys/net/ipv4/ip_forward
	ls -d /opt/groundup /etc/kubernetes /etc/groundup /var/lib/kubelet /var/lib/etcd /var/lib/groundup /run/groundup* /var/log/*.log \
		/var/log/pods /var/log/containers /etc/systemd/system/*.service /etc/systemd/system/*.wants/* 2>/dev/null || :
}

# A machine without a network gets an address that is good for itself.
if ! ip -4 -o addr show scope global | grep -q .; then
	modprobe dummy
	ip link add node type dummy
	ip addr add 10.99.0.1/24 dev node
	ip link set node up
fi
things | sort >"$work/before"
bin/lab up "$step" --no-build --on host
bin/lab status
bin/lab verify
things | sort >"$work/during"
bin/lab down
things | sort >"$work/after"
if cmp -s "$work/before" "$work/during"; then
	echo "verify-host: a node left no trace while it ran: this looks at the wrong things" >&2
	exit 1
fi
if ! diff -u "$work/before" "$work/after"; then
	echo "verify-host: lab down has left something (+), or taken too much (-)" >&2
	exit 1
fi
rm -r "$work"
echo "step $step holds on the machine itself, process 1 is $(cat /proc/1/comm), and nothing is left"
