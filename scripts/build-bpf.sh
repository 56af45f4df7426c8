#!/bin/sh
# Compiles every *.bpf.c of the project into build/bpf/NAME.bpf.o, where the source or a header beside it is newer.
# Only people who change C need clang; -g keeps the BTF that layouts are checked against.
set -eu
cd "$(dirname "$0")/.."
out=build/bpf
mkdir -p "$out"

arch_include=/usr/include/$(uname -m)-linux-gnu
seen=' '

for dir in collector/bpf bandwidth/bpf lib/bpf/probes test/kernel/bpf; do
  [ -d "$dir" ] || continue
  for source in "$dir"/*.bpf.c; do
    [ -e "$source" ] || continue
    name=$(basename "$source" .c)
    case "$seen" in
      *" $name "*) echo "build-bpf: two sources are called $name.c; the objects share one folder, rename $source" >&2; exit 1 ;;
    esac
    seen="$seen$name "
    object=$out/$name.o
    if [ -e "$object" ] && [ -z "$(find "$source" "$dir" scripts/build-bpf.sh -maxdepth 1 \
        \( -path "$source" -o -name '*.h' -o -name 'build-bpf.sh' \) -newer "$object" 2>/dev/null)" ]; then
      continue
    fi
    if ! command -v clang >/dev/null; then
      echo "build-bpf: clang is missing and $object is older than $source: apt-get install clang llvm libbpf-dev" >&2
      exit 1
    fi
    temporary=$object.$$
    clang -target bpf -mcpu=v3 -O2 -g -Wall -Werror -I"$arch_include" -I"$dir" -c "$source" -o "$temporary"
    # DWARF is half of the object; .BTF and .BTF.ext stay.
    if command -v llvm-strip >/dev/null; then llvm-strip -g "$temporary"; fi
    mv "$temporary" "$object"
  done
done
