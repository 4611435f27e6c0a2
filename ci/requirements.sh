#!/usr/bin/env bash
# Lists requirement ids that no test cites, and citations of ids that do not exist. Either makes it fail.
set -euo pipefail
cd "$(dirname "$0")/.."
ids='\b(TCP|CC|CRYPT|FEC|KCP|MUX|SMUX|SMUXB|YAMUX|SNAP|QPP|CLI|FTCP|PLAT)-[0-9]+\b'
defined=$(grep -hoE "^- $ids" engine/requirements/*.md | cut -c3- | sort -u)
in_tests=$(git ls-files '*/tests/*.rs' | xargs grep -hoE "$ids" | sort -u)
inline=$(git ls-files '*/src/*.rs' | xargs awk '/#\[cfg\(test\)\]/ { on = 1 } FNR == 1 { on = 0 } on' | grep -oE "$ids" | sort -u || true)
cited=$(git ls-files '*.rs' '*.toml' '*.md' ':!engine/requirements' | xargs grep -hoE "$ids" | sort -u)
untested=$(comm -23 <(echo "$defined") <(sort -u <(echo "$in_tests") <(echo "$inline")))
unknown=$(comm -13 <(echo "$defined") <(echo "$cited"))
[ -z "$untested" ] || printf 'no test cites: %s\n' "$(xargs <<<"$untested")"
[ -z "$unknown" ] || printf 'cited but not defined: %s\n' "$(xargs <<<"$unknown")"
[ -z "$untested$unknown" ] && printf 'requirements: %s ids, each cited by a test\n' "$(wc -l <<<"$defined")"
