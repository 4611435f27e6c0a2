#!/usr/bin/env bash
# The one test command: installs what the tests need, then lints, builds and runs everything.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

install_peers() {
  command -v kcptun-client >/dev/null && command -v kcptun-server >/dev/null && return
  say "installing Debian's kcptun, the Go peer of the interoperation tests"
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq kcptun
}

install_peers
export KARST_REQUIRE_GO=1 INSTA_UPDATE=no

say "format, house style, lints"
cargo fmt --all --check
ci/tidy.sh
cargo clippy --workspace --all-targets --quiet -- -D warnings

say "build"
cargo build --workspace --release --quiet

say "tests"
KARST_BIN_DIR="$PWD/${CARGO_TARGET_DIR:-target}/release" cargo test --workspace --release --no-fail-fast

say "golden data"
cargo run --quiet --release -p interop -- golden scenarios/golden

say "the first scenario, debug against release"
ci/determinism.sh
