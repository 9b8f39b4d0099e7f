#!/usr/bin/env bash
# Lets limactl and vagrant read our definitions, and treats a warning as a failure.
# A tool that is not here is built or installed; where that can't be, it says why
# and the definitions of that tool stay unread: with --strict, that fails too.
set -euo pipefail
cd "$(dirname "$0")"
strict=0
[ "${1:-}" = --strict ] && strict=1
unread=0

skip() {
  echo "not validated: $1: $2" >&2
  unread=1
}

# build_lima makes a prefix with limactl and, where limactl looks for it, the
# templates that ours are based on.
build_lima() {
  local prefix=$1 module agent
  agent=$prefix/share/lima/lima-guestagent.$(uname -s)-$(uname -m)
  mkdir -p "$prefix/bin" "$prefix/share/lima"
  module=$(cd lima/limactl && GOWORK=off go list -m -f '{{.Dir}}' github.com/lima-vm/lima) &&
    lima_build "$prefix/bin/limactl" github.com/lima-vm/lima/cmd/limactl &&
    CGO_ENABLED=0 GOOS=linux lima_build "$agent" github.com/lima-vm/lima/cmd/lima-guestagent || return 1
  rm -rf "$prefix/share/lima/templates"
  cp -r "$module/templates" "$prefix/share/lima/"
  chmod -R u+w "$prefix/share/lima/templates"
}

# lima_build OUTPUT PACKAGE: go itself knows what is up to date. A template asks
# for a version, so limactl must know its own.
lima_build() {
  (
    cd lima/limactl
    export GOWORK=off
    version=$(go list -m -f '{{.Version}}' github.com/lima-vm/lima)
    go build -ldflags="-s -w -X github.com/lima-vm/lima/pkg/version.Version=$version" -o "$1" "$2"
  )
}

validate_lima() {
  local limactl prefix=$PWD/../bin/vm/lima said home template variant file
  if limactl=$(command -v limactl); then
    :
  elif build_lima "$prefix"; then
    limactl=$prefix/bin/limactl
  else
    skip lima "there is no limactl, and it could not be built"
    return
  fi
  home=$(mktemp -d)
  chmod 755 "$home"
  for template in lima/*.yaml; do
    # For this computer, for processors of either kind, and for a Mac's hypervisor.
    for variant in "" "arch: x86_64" "arch: aarch64" "vmType: vz"; do
      file=$template
      if [ -n "$variant" ]; then
        file=$home/variant.yaml
        printf 'base: %s/%s\n%s\n' "$PWD" "$template" "$variant" >"$file"
      fi
      # limactl refuses root; to read a file, any user will do.
      if ! said=$(as_user "$home" "$limactl" validate "$file" 2>&1) || grep -q 'Non-strict YAML' <<<"$said"; then
        echo "$said" >&2
        echo "limactl validate $template $variant: the template is not right" >&2
        rm -rf "$home"
        return 1
      fi
      echo "limactl validate $template${variant:+ with $variant}: ok"
    done
  done
  rm -rf "$home"
}

as_user() {
  local home=$1
  shift
  if [ "$(id -u)" != 0 ]; then
    LIMA_HOME=$home "$@"
  else
    chown nobody "$home"
    setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$home" USER=nobody LIMA_HOME="$home/.lima" "$@"
  fi
}

validate_vagrant() {
  if ! command -v vagrant >/dev/null && ! ./deps.sh vagrant; then
    skip vagrant "there is no vagrant, and it could not be installed"
    return
  fi
  local nodes home
  home=$(mktemp -d)
  for nodes in 1 3; do
    if ! NODES=$nodes VAGRANT_HOME=$home VAGRANT_DOTFILE_PATH=$home/dot vagrant validate -p; then
      rm -rf "$home"
      return 1
    fi
  done
  rm -rf "$home"
}

validate_lima
validate_vagrant
exit $((strict && unread))
