#!/usr/bin/env bash
# The same scenario and seed give the same trace hash, optimised, once more, and in a debug build.
set -euo pipefail
cd "$(dirname "$0")/.."
scenario=${1:-scenarios/lossy-adsl.json}
hash() { "$@" "$scenario" | sed -n 's/.*trace hash[^0-9a-f]*\([0-9a-f]\{16\}\).*/\1/p'; }
first=$(hash cargo run --quiet --profile ci -p sim --)
again=$(hash cargo run --quiet --profile ci -p sim --)
debug=$(hash cargo run --quiet -p sim --)
printf 'trace hash of %s: optimised %s, again %s, debug %s\n' "$scenario" "$first" "$again" "$debug"
[ -n "$first" ] && [ "$first" = "$again" ] && [ "$first" = "$debug" ]
