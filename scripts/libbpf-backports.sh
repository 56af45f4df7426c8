#!/bin/sh
# Fetches libbpf 1.4 from Debian's backports into build/libbpf-1.4, for tests against a second version; prints the path
# of its libbpf.so.1. Installs nothing and leaves the machine's apt alone: the mirror is the one that the machine's own
# apt sources name, with a private apt state. Exits 3, with the reason, where that is not possible.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/build/libbpf-1.4
library=$out/libbpf.so.1

give_up() { echo "libbpf-backports: $1" >&2; exit 3; }

if [ -e "$library" ]; then echo "$library"; exit 0; fi

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
[ "$codename" = bookworm ] || give_up "this is $codename; only Debian 12 (bookworm) has libbpf 1.4 in its backports"
command -v apt-get >/dev/null || give_up 'apt-get is missing'

mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Identifier: Packages' 2>/dev/null |
  awk -v codename="$codename" '$2 == codename && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || give_up "the machine's apt sources name no mirror of $codename"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/extracted"
: >"$work/status"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=''
if [ -e "$keyring" ]; then signed="[signed-by=$keyring] "; fi
echo "deb $signed$mirror $codename-backports main" >"$work/sources.list"
cat >"$work/apt.conf" <<CONF
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
Acquire::Languages "none";
APT::Sandbox::User "root";
CONF
export APT_CONFIG="$work/apt.conf"
apt-get update -qq >"$work/log" 2>&1 || give_up "the package lists cannot be fetched: $(tail -n 1 "$work/log")"
(cd "$work" && apt-get download -qq libbpf1 >"$work/log" 2>&1) ||
  give_up "libbpf1 cannot be downloaded: $(tail -n 1 "$work/log")"
dpkg -x "$work"/libbpf1_*.deb "$work/extracted"

found=$(find "$work/extracted" -name 'libbpf.so.1.4*' -type f | head -n 1)
[ -n "$found" ] || give_up "the backports hold another version: $(basename "$work"/libbpf1_*.deb)"
mkdir -p "$out"
cp "$found" "$out/$(basename "$found")"
# The link last: it marks a finished download.
ln -sf "$(basename "$found")" "$library"
echo "$library"
