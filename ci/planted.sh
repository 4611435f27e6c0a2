#!/usr/bin/env bash
# Seeds one bug at a time and verifies that the swarm finds it, and that the minimized scenario still fails. Not part of
# ci/test.sh, because it needs another build of the engine; run it after changes to the engine, the swarm or the checks.
set -euo pipefail
cd "$(dirname "$0")/.."
# A folder of its own: programs with seeded bugs must not be mistaken for the real ones.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/planted
cargo clippy -p sim --features planted --all-targets --quiet -- -D warnings
cargo test --profile ci -p sim --features planted --test all planted::
