#!/bin/sh
# `make demo-cluster`: builds the control plane where it is missing, and runs the show. KEEP=1 leaves it running.
set -eu
cd "$(dirname "$0")/.."

if ! binaries=$(test/control-plane/build.sh); then
  echo "make demo-cluster shows Netloom with the real control plane, which is built once from its Go modules;" >&2
  echo "make demo shows it without one." >&2
  exit 1
fi
[ "${KEEP:-}" != 1 ] || set -- --keep "$@"
exec scripts/node demo/cluster/main.ts "$binaries" "$@"
