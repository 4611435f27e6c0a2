#!/usr/bin/env bash
# Builds the Debian package: `ci/deb.sh [FOLDER]` writes FOLDER/karst_VERSION_ARCH.deb, target/package by default. It has the programs of
# ci/release.sh, and what they print about themselves: manual pages and completions. Needs cargo-deb (cargo install cargo-deb).
# ci/deb-test.sh installs the result.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/package}
command -v cargo-deb >/dev/null || { echo "deb: cargo-deb is not installed: cargo install cargo-deb" >&2; exit 1; }

# The assets in bins/Cargo.toml name this folder.
files=target/package
ci/release.sh "$files"
mkdir -p "$out" "$files"/{man,completions,links}
for program in karst-client karst-server; do
  "$files/$program" --man | gzip -9n >"$files/man/$program.1.gz"
  for shell in bash zsh fish; do "$files/$program" --completions "$shell" >"$files/completions/$program.$shell"; done
  old=kcptun-${program#karst-}
  ln -sf "$program" "$files/links/$old"
  ln -sf "$program.1.gz" "$files/links/$old.1.gz"
done
gzip -9nc CHANGELOG.md >"$files/changelog.gz"
cargo deb --quiet -p bins --no-build --no-strip --output "$out/" | sed 's/^/deb: /'
