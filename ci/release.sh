#!/usr/bin/env bash
# Builds what is released: karst-client and karst-server without a profiler, without paths of this machine, and with the debug
# information in files of its own. `ci/release.sh [FOLDER]` writes to FOLDER, target/package by default, and verifies the result:
#
#   FOLDER/karst-client        stripped; gdb and addr2line find the file below by its link
#   FOLDER/karst-client.debug  line tables and symbols
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/package}
target=${CARGO_TARGET_DIR:-$PWD/target}/release-package
home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
triple=$(rustc -vV | sed -n 's/^host: //p')

# Panics and line tables name source files; these flags shorten the names to what is the same everywhere. Later ones win.
remaps=("$HOME=" "$PWD=karst" "$sysroot=rust" "$sysroot/lib/rustlib/src/rust=rust")
for registry in "$home"/registry/src/*/; do remaps+=("${registry%/}=crates"); done
flags=()
for remap in "${remaps[@]}"; do flags+=("--remap-path-prefix=$remap"); done
# Unit separators, since paths may have blanks. A target of its own keeps these flags from the build scripts.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}") CARGO_TARGET_DIR=$target \
  cargo build --release --locked -p bins --no-default-features --target "$triple"

mkdir -p "$out"
fail=0
for program in karst-client karst-server; do
  built=$target/$triple/release/$program
  objcopy --only-keep-debug "$built" "$out/$program.debug"
  objcopy --strip-all --add-gnu-debuglink="$out/$program.debug" "$built" "$out/$program"
  for file in "$out/$program" "$out/$program.debug"; do
    if found=$(strings -a "$file" | grep -F -e "$PWD/" -e "$HOME/" -e "$home/" -e "$sysroot/"); then
      printf 'release: %s has paths of this machine:\n%s\n' "$file" "$(head -5 <<<"$found")" >&2
      fail=1
    fi
  done
  version=$("$out/$program" --version)
  printf '%s: %s, %d bytes, debug information %d bytes\n' "$out/$program" "$version" "$(stat -c %s "$out/$program")" "$(stat -c %s "$out/$program.debug")"
done
exit $fail
