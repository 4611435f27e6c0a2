#!/usr/bin/env bash
# The same scenario and seed give the same run: every scenario file twice in the optimised build, and the short ones in a
# debug build, all compared with the hashes pinned in scenarios/pins.json.
#
# After a change that is meant to change runs, or with new scenario files: ci/determinism.sh --update, and review the
# difference of scenarios/pins.json. On a mismatch the first event that differs is printed.
set -euo pipefail
cd "$(dirname "$0")/.."
pins=scenarios/pins.json
debug_events_max=${DEBUG_EVENTS_MAX:-150000}
target=${CARGO_TARGET_DIR:-target}

cargo build --quiet --profile ci -p sim
[ "${1:-}" != --update ] || exec "$target/ci/karst-sim" pins $pins --update
"$target/ci/karst-sim" pins $pins
cargo build --quiet -p sim
ci/same-runs.sh "$target/ci/karst-sim" "$target/debug/karst-sim" --events-max "$debug_events_max"
