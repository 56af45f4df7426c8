#!/bin/sh
# Runs every program of bench/, or the ones named, one after the other. The last line of each is its result as JSON:
# kept in build/bench/NAME.json. Goes on after a failure, and then ends with a failure.
set -eu
cd "$(dirname "$0")/.."

mkdir -p build/bench
failed=
[ $# -gt 0 ] || set -- $(for file in bench/*.ts; do [ ! -e "$file" ] || basename "$file" .ts; done)
for name; do
  echo "== $name"
  if scripts/node "bench/$name.ts" >"build/bench/$name.txt" 2>build/bench/"$name".err; then
    cat "build/bench/$name.txt"
    tail -n 1 "build/bench/$name.txt" >"build/bench/$name.json"
  else
    cat "build/bench/$name.txt"
    tail -n 20 "build/bench/$name.err" >&2
    failed="$failed $name"
  fi
done
if [ -n "$failed" ]; then
  echo "failed:$failed" >&2
  exit 1
fi
