#!/usr/bin/env bash
# Installs what building and testing need from Debian's packages, where there is
# apt, and says what it installs and why. Nothing is installed twice. `deps.sh bench`
# adds what benchmarks need; `deps.sh -` reads another list than the one here.
set -euo pipefail

# program or file -> package, and what it is for
needs=(
  "gcc            gcc               the container init enters namespaces before Go starts"
  "/usr/include/stdio.h libc6-dev   to link it"
  "pkg-config     pkg-config        to find libseccomp"
  "/usr/include/seccomp.h libseccomp-dev  the seccomp profile of containers"
  "dbus-daemon    dbus-daemon       the test of a node that shuts down"
  "containerd     containerd        the test of the kubelet with another runtime than ours"
)
if [ "${1:-}" = bench ]; then
  needs+=("runc           runc              the peer that we measure against")
elif [ "${1:-}" = - ]; then
  mapfile -t needs
fi

PATH=$PATH:/usr/sbin:/sbin
missing=()
for need in "${needs[@]}"; do
  read -r what package why <<<"$need"
  if [[ $what = /* ]]; then
    [ -e "$what" ] && continue
  else
    command -v "$what" >/dev/null && continue
  fi
  echo "missing: $package ($why)"
  missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "there is no apt-get here: install these by the means of your system, or have a virtual machine: docs/vms.md" >&2
  exit 1
fi
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
echo "installing: ${missing[*]}"
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"

# Tests start a containerd of their own. Nobody has asked for the package's service.
if [[ " ${missing[*]} " = *" containerd "* ]] && [ -d /run/systemd/system ]; then
  "${sudo[@]}" systemctl disable --quiet --now containerd
fi
