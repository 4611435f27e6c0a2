#!/usr/bin/env bash
# Checks licences, bans, sources and security advisories of all dependencies against deny.toml. Without a database of advisories,
# when none is at hand and none can be had, that part is named and is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
  echo "deny: cargo-deny is missing: ci/test.sh --install, or cargo install cargo-deny --locked" >&2
  exit 1
fi
quiet=(--log-level error)
cargo deny --offline "${quiet[@]}" check bans licenses sources

database=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
timeout 120 cargo deny "${quiet[@]}" fetch db >/dev/null 2>&1 || true
if compgen -G "$database/advisory-db-*/crates" >/dev/null; then
  cargo deny --offline "${quiet[@]}" check advisories
else
  echo "SKIPPED advisories: no database in $database, and it cannot be fetched"
fi
