#!/usr/bin/env bash
# Starts machines by Vagrant on libvirt for real, with step 01 in them, and removes
# them again. The box is made of Debian packages here, with all that provision.sh
# would install. Where no libvirtd runs, one is started for the time of the test, as
# root.
#
#   vms/vagrant-test.sh [NODES]
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD nodes=${1:-1}
packages=make,git,gcc,libc6-dev,pkg-config,libseccomp-dev,golang-go,rsync,systemd-resolved
