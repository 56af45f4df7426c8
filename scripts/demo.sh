#!/bin/sh
# `make demo`: builds what it needs and runs the demonstration. KEEP=1 leaves the lab running.
set -eu
cd "$(dirname "$0")/.."

mkdir -p build/log
# Without clang the demonstration still shows a recorded run, and says so itself.
if ! scripts/build-bpf.sh >build/log/build-bpf.log 2>&1; then
  tail -n 5 build/log/build-bpf.log >&2
fi
if [ "${KEEP:-}" = 1 ]; then set -- --keep "$@"; fi
exec bin/netloom lab demo "$@"
