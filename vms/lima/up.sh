#!/bin/sh
# Starts NODES machines (one, if not said) by Lima, node-1 first, with this clone
# of the repository in each. What runs already stays.
#
#   vms/lima/up.sh [NODES]      and to be rid of them: vms/lima/up.sh 0
#
# LIMA_TEMPLATES is another folder with groundup.yaml and groundup-worker.yaml.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
templates=${LIMA_TEMPLATES:-$here}
nodes=${1:-1}
case $nodes in [0-9]) ;; *) echo "up.sh: $nodes nodes: want a number from 0 to 9" >&2; exit 2 ;; esac
command -v limactl >/dev/null || { echo "up.sh: there is no limactl: lima-vm.io says how to install it" >&2; exit 1; }

if [ "$nodes" = 0 ]; then
	for name in $(limactl list --quiet | grep '^node-[0-9]$'); do
		limactl delete --force "$name"
	done
	exit
fi
REPO=$(cd "$here/../.." && pwd)
export REPO
n=1
while [ $n -le "$nodes" ]; do
	template=groundup-worker.yaml
	[ $n = 1 ] && template=groundup.yaml
	if limactl list --quiet | grep -qx "node-$n"; then
		limactl start "node-$n"
	else
		limactl start --tty=false --name "node-$n" --set '.param.Repo = strenv(REPO)' "$templates/$template"
	fi
	# A copy of lab on the machine's own disk: by sshfs it would be read anew, all of
	# it, for every command.
	if [ -x "$REPO/bin/lab" ]; then
		limactl shell --workdir / "node-$n" sudo install -D /groundup/bin/lab /usr/local/lib/groundup/lab
	fi
	n=$((n + 1))
done
