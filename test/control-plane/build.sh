#!/bin/sh
# Builds a real Kubernetes control plane from its Go modules: kube-apiserver, kube-controller-manager, kube-scheduler and
# kubectl (one binary, four names), etcd and helm. Prints the folder that holds them. Kept by the hash of what decides
# their contents: a second run builds nothing. About 15 CPU-minutes and 2 GB of downloads at the first.
#
# Usage: build.sh [MODULE]; a folder beside this: go (default), or go-1.35, which has an older kube-scheduler only (5
# CPU-minutes more).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
name=${1:-go}
source="$here/$name"
if [ ! -e "$source/go.mod" ]; then
  echo "control plane: expected go or go-1.35, found '$name'" >&2
  exit 64
fi
if ! command -v go >/dev/null 2>&1; then
  echo "control plane: needs Go $(sed -n 's/^go //p' "$source/go.mod") or newer: https://go.dev/doc/install, or 'apt install golang' of backports" >&2
  exit 69
fi

hash=$(cat "$source/go.sum" "$source/main.go" "$0" | sha256sum | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/netloom/control-plane-$name-$hash"
if [ -e "$folder/complete" ]; then
  printf '%s\n' "$folder"
  exit 0
fi

version=$(sed -n 's,^.*k8s.io/kubernetes \(v1[.0-9]*\)$,\1,p' "$source/go.mod" | head -n 1)
helm=$(sed -n 's,^.*helm.sh/helm/v3 \(v3[.0-9]*\).*$,\1,p' "$source/go.mod" | head -n 1)
minor=${version#v1.}
flags='-s -w'
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
  flags="$flags -X $package.gitTreeState=clean"
done
[ -z "$helm" ] || flags="$flags -X helm.sh/helm/v3/internal/version.version=$helm"
tools=$(sed -n '/^tool (/,/^)/s/^\t//p; s/^tool \([^(]\)/\1/p' "$source/go.mod")

mkdir -p "$(dirname "$folder")"
making=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$making"' EXIT
echo "control plane: building Kubernetes $version; minutes, once" >&2
cd "$source"
# Debug data is thrown away by -s -w; not making it saves a tenth.
# shellcheck disable=SC2086
CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags "$flags" -o "$making/" . $tools >&2
for component in $(sed -n 's,^.*k8s.io/kubernetes/cmd/\(kube-[a-z-]*\)/app"$,\1,p; s,^.*k8s.io/\(kubectl\)/pkg/cmd"$,\1,p' main.go); do
  ln -s controlplane "$making/$component"
done
[ ! -e "$making/server" ] || ln -s server "$making/etcd"
chmod 755 "$making"
: >"$making/complete"
# Whoever was first has built the same.
mv -T "$making" "$folder" 2>/dev/null || [ -e "$folder/complete" ]
printf '%s\n' "$folder"
