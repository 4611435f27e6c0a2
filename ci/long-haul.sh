#!/usr/bin/env bash
# A night's work, not part of ci/test.sh: a week of simulated time, twice and in little memory, and SEEDS (1..200000) random
# scenarios. Needs about three quarters of an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --profile ci -p sim
sim=$CARGO_TARGET_DIR/ci/karst-sim

# Address space, of which far less is ever touched: a run whose memory grows with time ends here.
(
  ulimit -v 262144
  "$sim" pins long-haul/pins.json
)
"$sim" swarm --seeds "${SEEDS:-1..200000}"
