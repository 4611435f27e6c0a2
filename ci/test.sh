#!/usr/bin/env bash
# The one test command: installs what the tests need, then lints, builds and runs everything.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

# kcptun is the Go peer of the interoperation tests, cc links, tshark reads captures, chromium draws pages.
install_tools() {
  local missing=() sudo=""
  command -v kcptun-client >/dev/null && command -v kcptun-server >/dev/null || missing+=(kcptun)
  command -v cc >/dev/null || missing+=(build-essential)
  command -v tshark >/dev/null || missing+=(tshark)
  command -v chromium >/dev/null || missing+=(chromium)
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

install_tools
cargo fetch --locked --quiet
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export KARST_BIN_DIR=$CARGO_TARGET_DIR/ci KARST_REQUIRE_GO=1

say "format, house style, lints"
cargo fmt --all --check
ci/tidy.sh
ci/requirements.sh
cargo clippy --workspace --all-targets --quiet -- -D warnings
cargo clippy -p bins --features turmoil --lib --test turmoil --quiet -- -D warnings

# This comes first, because cargo builds programs with simulated sockets, too, which the build then replaces.
say "drivers over simulated links"
cargo test -p bins --features turmoil --profile ci --test turmoil

say "build"
cargo build --workspace --profile ci --quiet

say "tests"
cargo test --workspace --profile ci --no-fail-fast

say "golden data"
cargo run --quiet --profile ci -p interop -- golden scenarios/golden

# Determinism needs it; the live pairs mostly wait.
cargo build --quiet -p sim &

say "live pairs with Go: every cipher, mode, version, FEC shape and mtu"
"$KARST_BIN_DIR/karst-interop" live --all

say "swarm: two thousand random scenarios, every rare path of the engine"
"$KARST_BIN_DIR/karst-sim" swarm --seeds 1001..3000

say "determinism: every scenario twice, the short ones in debug, too"
ci/determinism.sh
