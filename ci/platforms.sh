#!/usr/bin/env bash
# Other operating systems and processors: builds for them, and runs what can run here.
#   ci/platforms.sh                  every step
#   ci/platforms.sh STEP...          some steps, by name
#   ci/platforms.sh --list           the steps
#   ci/platforms.sh --check          the compile checks alone, for ci/test.sh: a minute of processor time
#   ci/platforms.sh --install        packages and standard libraries, as far as they can be had (root or sudo, rustup)
# A step whose toolchain is missing is reported as skipped with the reason; KARST_REQUIRE_PLATFORMS=1 makes that a failure.
# Programs to hand out are left in target/platforms/release, stripped, with SHA256SUMS.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${CARGO_TARGET_DIR:-$PWD/target}
target=$root/platforms
out=$target/release
host_programs=$root/ci
static_bytes_max=$((3 << 20))

# Standard libraries that rustup has to add.
triples="i686-unknown-linux-gnu x86_64-pc-windows-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-musl
  x86_64-unknown-freebsd x86_64-apple-darwin aarch64-apple-darwin"
packages="gcc-i686-linux-gnu libc6-i386 libc6-dev-i386-cross lib32gcc-s1 gcc-mingw-w64-x86-64-win32 wine64 qemu-user"

steps="portable i686 windows x86_64-musl aarch64-musl freebsd macos"

step_portable() {
  # The build of the tests, so that only bins is compiled again.
  cargo build --quiet --profile ci --workspace --features bins/portable --bin karst-client --bin karst-server
  mkdir -p "$root/ci-portable"
  cp "$host_programs/karst-client" "$host_programs/karst-server" "$root/ci-portable/"
  transfers "$root/ci-portable"
}

step_i686() {
  needs_std i686-unknown-linux-gnu && needs i686-linux-gnu-gcc gcc-i686-linux-gnu && needs_file /lib/ld-linux.so.2 libc6-i386 || return 0
  export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=i686-linux-gnu-gcc
  local to=(--profile ci --target i686-unknown-linux-gnu --target-dir "$target")
  local programs=$target/i686-unknown-linux-gnu/ci
  cargo build --quiet "${to[@]}" -p bins -p sim --bins
  cargo test --quiet "${to[@]}" -p engine -p bins --lib
  "$programs/karst-sim" pins scenarios/pins.json --once
  KARST_OTHER_HAS_TCP=1 transfers "$programs"
}

step_windows() {
  needs_std x86_64-pc-windows-gnu && needs x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64-win32 || return 0
  build x86_64-pc-windows-gnu -p sim
  local programs=$target/x86_64-pc-windows-gnu/release
  finish_release windows-x86_64 "$programs" .exe karst-client karst-server karst-sim
  local wine=/usr/lib/wine/wine64
  needs_file $wine wine64 || return 0
  export WINEPREFIX=$target/wine WINEDEBUG=-all
  # The first start makes the prefix.
  $wine wineboot --init >/dev/null 2>&1 || true
  lend_random_numbers "$programs"
  KARST_OTHER_RUNNER=$wine transfers "$programs"
  $wine "$programs/karst-sim.exe" pins scenarios/pins.json --once
}

step_x86_64-musl() { static x86_64-unknown-linux-musl x86_64 ""; }
step_aarch64-musl() { static aarch64-unknown-linux-musl aarch64 qemu-aarch64; }

# Only compiled: nothing here runs their programs.
step_freebsd() { checked x86_64-unknown-freebsd; }
step_macos() { checked x86_64-apple-darwin && checked aarch64-apple-darwin; }

# A static build, its start and a transfer: static TRIPLE NAME QEMU.
static() {
  local triple=$1 name=$2 runner=$3 variable program bytes
  needs_std "$triple" || return 0
  [ -z "$runner" ] || needs "$runner" qemu-user || return 0
  # The start files and the C library of these targets come with their standard library.
  variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$triple")_LINKER
  # Optimised as a whole, they are a tenth smaller and faster.
  export "$variable=rust-lld" CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
  build "$triple"
  finish_release "linux-$name-static" "$target/$triple/release" "" karst-client karst-server
  for program in karst-client karst-server; do
    bytes=$(stat -c %s "$out/linux-$name-static/$program")
    [ "$bytes" -le "$static_bytes_max" ] || { echo "$program has more than $static_bytes_max bytes"; return 1; }
  done
  [ -z "$runner" ] || export KARST_OTHER_RUNNER=$runner
  KARST_OTHER_HAS_TCP=1 transfers "$out/linux-$name-static"
}

# Windows 10 and wine 9 have this library, older wines do not: it is for tests only.
lend_random_numbers() {
  printf '%s\n' '#include <windows.h>' '#include <ntsecapi.h>' \
    '__declspec(dllexport) BOOL ProcessPrng(PBYTE to, SIZE_T len) { return RtlGenRandom(to, (ULONG)len); }' >"$target/random.c"
  x86_64-w64-mingw32-gcc -shared -o "$1/bcryptprimitives.dll" "$target/random.c" -ladvapi32
}

checked() {
  needs_std "$1" || return 0
  cargo check --quiet --profile ci -p bins -p sim --target "$1" --target-dir "$target"
  echo "$1: compiles, not run"
}

# The programs for a target, and further packages: build TRIPLE [ARGUMENTS].
build() {
  local triple=$1
  shift
  cargo build --quiet --release --locked --bins -p bins "$@" --target "$triple" --target-dir "$target"
}

# Stripped copies of programs: finish_release NAME FOLDER SUFFIX PROGRAM...
finish_release() {
  local to=$out/$1 from=$2 suffix=$3 program sysroot
  shift 3
  sysroot=$(rustc --print sysroot)
  mkdir -p "$to"
  for program in "$@"; do
    LD_LIBRARY_PATH=$sysroot/lib "$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-objcopy" --strip-all \
      "$from/$program$suffix" "$to/$program$suffix"
  done
  (cd "$to" && sha256sum karst-* >SHA256SUMS && stat -c '%n: %s bytes' karst-*)
}

# Verified transfers of the programs in a folder with those of this machine, in both roles.
transfers() {
  KARST_OTHER_PROGRAMS=$1 cargo test --quiet --profile ci --workspace -- platforms::
}

has_std() { [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]; }
skip() { echo "skipped: $*"; echo "$*" >"$target/reason"; return 1; }
needs() { command -v "$1" >/dev/null || skip "no $1 (package $2)"; }
needs_file() { [ -e "$1" ] || skip "no $1 (package $2)"; }
needs_std() { has_std "$1" || skip "no standard library: rustup target add $1"; }

install_all() {
  local sudo="" triple
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  # shellcheck disable=SC2086 # one word for each package
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
  for triple in $triples; do
    has_std "$triple" || rustup target add "$triple" || echo "platforms: no standard library for $triple" >&2
  done
}

# The first one shares all crates but bins with the lints of ci/test.sh.
check_all() {
  cargo check --quiet --profile ci --workspace --features bins/portable
  checked x86_64-pc-windows-gnu
}

# A process of its own for each step, so that what it exports ends with it and its first failure ends it.
run() {
  local step=$1
  printf '\n== platform %s\n' "$step"
  rm -f "$target/reason"
  if ! "$0" --step "$step"; then
    results+=("$step: FAILED")
    failed=1
  elif [ -e "$target/reason" ]; then
    results+=("$step: skipped, $(cat "$target/reason")")
    [ -z "${KARST_REQUIRE_PLATFORMS:-}" ] || failed=1
  else
    results+=("$step: passed")
  fi
}

mkdir -p "$target"
case ${1:-} in
  --list) echo "$steps"; exit 0 ;;
  --install) install_all; exit 0 ;;
  --check) check_all; rm -f "$target/reason"; exit 0 ;;
  --step) "step_$2"; exit 0 ;;
esac
results=()
failed=0
[ -x "$host_programs/karst-client" ] || cargo build --quiet --profile ci --workspace --bins
for step in ${*:-$steps}; do run "$step"; done
printf '\n'
printf 'platform %s\n' "${results[@]}"
exit $failed
