#!/bin/bash
# Runs critest, upstream's conformance suite for the CRI, against this step's
# runtime: daemon and registry in a network namespace of their own, on
# directories that are removed at the end, with no network beyond loopback.
# Needs root. Fails when a spec fails.
#
#   critest.sh [BIN [critest flags]]
#
# BIN holds runtime, runtime-shim, crictl, critest (tools/critools) and images
# (tools/images); without it they are built into bin of this repository.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "critest.sh: needs root: it makes namespaces, mounts and cgroups" >&2; exit 1; }

# build prints the directory with the programs
build() {
  cd "$(dirname "$0")/../.."
  {
    make tools lab
    bin/lab build 00
    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/ ./tools/images/cmd/images
    mkdir -p bin/critest-bin
    ln -sf ../step-00/runtime ../step-00/runtime-shim ../critest ../crictl ../images bin/critest-bin
  } >&2
  realpath bin/critest-bin
}

bin=${1:-$(build)}
bin=$(realpath "$bin")
shift || set --
if [ -z "${CRITEST_NETNS:-}" ]; then
  (cd "$(dirname "$0")" && "$bin/images" critest -o "$bin/archives" >&2) # may want Go modules
  exec env CRITEST_NETNS=1 unshare --net --uts "$0" "$bin" "$@"
fi

# Specs that can't pass here, by a pattern on their names; the reasons are in
# README.md, "What we left out".
skip='public image with digest'
if ! "$bin/runtime-shim" features | grep -q '"seccomp":true'; then
  skip+='|SeccompProfilePath .*(default on the container|localhost profile|blocks setting hostname)'
fi

dir=$(mktemp -d /tmp/critest.XXXXXX)
chmod 711 "$dir" # users of user namespaces must get through
runtime=("$bin/runtime" --root "$dir/root" --state "$dir/state" --shim "$bin/runtime-shim" --cgroup-parent "/groundup-critest-$$")
pids=()

cleanup() {
  "${runtime[@]}" reset || echo "critest.sh: some pods could not be removed" >&2
  for pid in "${pids[@]}"; do
    kill "$pid" 2>&- || echo "critest.sh: process $pid had ended already" >&2
    wait "$pid" || true # its exit code is that of the signal
  done
  rm -rf "$dir"
}
trap cleanup EXIT

# wait_for COMMAND...: poll until it succeeds
wait_for() {
  for _ in $(seq 200); do
    if "$@" >&- 2>&-; then return; fi
    sleep 0.05
  done
  echo "critest.sh: gave up waiting for: $*" >&2
  exit 1
}

"$bin/archives/.programs/toolbox" ip link set lo up # iproute2 may be missing
mkdir -p "$dir/root/images"
"$bin/images" serve --listen 127.0.0.1:5000 --mirrors "$dir/root/images/mirrors.json" "$bin/archives" >"$dir/registry.log" 2>&1 &
pids+=($!)
wait_for test -s "$dir/root/images/mirrors.json"
"${runtime[@]}" serve --listen "unix://$dir/cri.sock" >"$dir/serve.log" 2>&1 &
pids+=($!)
wait_for test -S "$dir/cri.sock"

cd "$dir" # critest looks for a configuration in the working directory
"$bin/critest" -runtime-endpoint "unix://$dir/cri.sock" -image-endpoint "unix://$dir/cri.sock" \
  -ginkgo.no-color -ginkgo.skip "$skip" "$@" || {
  code=$?
  tail -50 "$dir/serve.log" >&2
  exit "$code"
}
