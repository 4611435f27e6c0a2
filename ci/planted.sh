#!/usr/bin/env bash
# Plants one bug after the other and sees that the swarm finds it, and that what it shrank to still shows it. Not part of
# ci/test.sh, because the engine is built anew for it; for changes of the engine, the swarm or the checks.
set -euo pipefail
cd "$(dirname "$0")/.."
# A folder of its own: programs with planted bugs must not be taken for others.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/planted
cargo clippy -p sim --features planted --all-targets --quiet -- -D warnings
cargo test --profile ci -p sim --features planted --test all planted::
