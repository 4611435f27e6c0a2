#!/usr/bin/env bash
# Checks licences, bans, sources and security advisories of all dependencies against deny.toml. What cannot be checked here is
# named with its reason, and is no failure: the tool itself, or a database of advisories when none is at hand and none can be had.
set -euo pipefail
cd "$(dirname "$0")/.."
skip() { printf 'SKIPPED %s: %s\n' "$1" "$2"; }

if ! cargo deny --version >/dev/null 2>&1; then
  skip "dependencies" "cargo-deny is missing (cargo install cargo-deny --locked)"
  exit 0
fi
quiet=(--log-level error)
cargo deny --offline "${quiet[@]}" check bans licenses sources

database=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
timeout 120 cargo deny "${quiet[@]}" fetch db >/dev/null 2>&1 || true
if compgen -G "$database/advisory-db-*/crates" >/dev/null; then
  cargo deny --offline "${quiet[@]}" check advisories
else
  skip "advisories" "no database in $database, and it cannot be fetched"
fi
