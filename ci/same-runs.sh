#!/usr/bin/env bash
# Compares another build of karst-sim with the pinned hashes: same-runs.sh GOOD OTHER [ARGUMENTS of `karst-sim pins`].
# OTHER may be several words, such as "qemu-aarch64 target/.../karst-sim". On a mismatch, prints the first event that
# differs from the trace of GOOD.
set -euo pipefail
cd "$(dirname "$0")/.."
good=$1
read -ra other <<<"$2"
shift 2
report=$("${other[@]}" pins scenarios/pins.json "$@") && echo "$report" && exit 0
echo "$report"
sed -n 's/^\([^ ]*\.json\): hash .* is pinned$/\1/p' <<<"$report" | head -3 | while read -r file; do
  path=scenarios/$file
  line=$(cmp <("$good" trace "$path") <("${other[@]}" trace "$path") 2>&1 | sed -n 's/.* line \([0-9]*\)$/\1/p' || true)
  [ -n "$line" ] || { echo "$file: the traces are equal now"; continue; }
  echo "$file: event $line of the trace is the first that differs:"
  # The rest of a trace is not needed: its writer fails on the closed pipe.
  { "$good" trace "$path" || true; } | sed -n "${line}{s/^/  $(basename "$good"): /p;q}" || true
  { "${other[@]}" trace "$path" || true; } | sed -n "${line}{s/^/  other: /p;q}" || true
done
exit 1
