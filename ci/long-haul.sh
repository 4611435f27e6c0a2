#!/usr/bin/env bash
# Runs a simulated week twice, in bounded memory, and random scenarios for SEEDS (default 1..200000). Takes about
# 45 minutes on two cores, so ci/test.sh does not call it.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --profile ci -p sim
sim=$CARGO_TARGET_DIR/ci/karst-sim

# Limits the address space in KiB, so that a run whose memory grows with time fails. Resident memory is far below it.
(
  ulimit -v 262144
  "$sim" pins scenarios/long-haul/pins.json
)
"$sim" swarm --seeds "${SEEDS:-1..200000}"
