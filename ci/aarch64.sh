#!/usr/bin/env bash
# Another processor: cross-builds for aarch64, and under qemu tests the forms of the inner loops that only it has and plays
# every pinned scenario.
#
# Debian's own compiler is used, because its standard library for arm64 comes from the same package mirror:
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install --no-install-recommends rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
# `--install` does that (root or sudo). Arguments are passed on to `karst-sim pins`: qemu is some twenty times slower than
# the processor, so `--events-max N` leaves the long scenarios out. Without the tools, the script says what is missing and
# leaves with 0, unless KARST_REQUIRE_AARCH64 is set.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
triple=aarch64-unknown-linux-gnu
rustc=${AARCH64_RUSTC:-/usr/bin/rustc}
packages=(rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)

if [ "${1:-}" = --install ]; then
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo dpkg --add-architecture arm64
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
  shift
fi

missing=()
[ -x "$rustc" ] || missing+=("$rustc (rustc-web)")
compgen -G "$("$rustc" --print sysroot 2>/dev/null || echo /nowhere)/lib/rustlib/$triple/lib/libstd-*.rlib" >/dev/null ||
  missing+=("the standard library for $triple (libstd-rust-web-dev:arm64)")
command -v aarch64-linux-gnu-gcc >/dev/null || missing+=("aarch64-linux-gnu-gcc")
command -v qemu-aarch64 >/dev/null || missing+=("qemu-aarch64 (qemu-user)")
if [ ${#missing[@]} -gt 0 ]; then
  printf 'aarch64: skipped, missing: %s\n' "${missing[@]}" >&2
  [ -z "${KARST_REQUIRE_AARCH64:-}" ] || exit 1
  exit 0
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64
cross=(--profile ci --target $triple --target-dir "$CARGO_TARGET_DIR/aarch64")
RUSTC=$rustc cargo test --quiet "${cross[@]}" -p engine --lib
cargo build --quiet --profile ci -p sim
RUSTC=$rustc cargo build --quiet "${cross[@]}" -p sim --bin karst-sim
program=$CARGO_TARGET_DIR/aarch64/$triple/ci/karst-sim
file "$program" 2>/dev/null || true
# Without `-L /usr/aarch64-linux-gnu`: that takes the loader from libc6-arm64-cross, which then finds the C library of
# libc6:arm64. Loader and library of two versions disagree on a structure they share, and the first thread never starts.
ci/same-runs.sh "$CARGO_TARGET_DIR/ci/karst-sim" "qemu-aarch64 $program" --once "$@"
