#!/usr/bin/env bash
# House style that no lint checks: file length, function length, dependency direction, import cycles, machine paths, purity of the engine.
# The ratchet: the limits only ever go down.
set -euo pipefail
cd "$(dirname "$0")/.."
fail=0
complain() { echo "tidy: $*" >&2; fail=1; }

sources() { git ls-files '*.rs' | grep -vE '(^|/)(tests|benches|fuzz)/'; }

while read -r file; do
  lines=$(wc -l <"$file")
  [ "$lines" -le 900 ] || complain "$file has $lines lines, more than 900"
  # rustfmt puts a function's closing brace at the indentation of its `fn`.
  awk -v file="$file" '
    match($0, /^ *(pub(\([a-z]+\))? )?(const |async |unsafe |extern "C" )*fn /) && /\{$/ { match($0, /^ */); indent = RLENGTH; start = NR; name = $0 }
    match($0, /^ *\}$/) && start { match($0, /^ */); if (RLENGTH == indent) { if (NR - start + 1 > 70) { printf "tidy: %s:%d: %d lines: %s\n", file, start, NR - start + 1, name; bad = 1 }; start = 0 } }
    END { exit bad }' "$file" >&2 || fail=1
done < <(sources)

while read -r file; do
  complain "$file is a leftover of a failed snapshot test or a merge"
done < <(git ls-files '*.snap.new' '*.orig' '*.rej')

depends() { cargo tree --offline --quiet -p "$1" --edges normal,build --depth 1 --prefix none --format '{p}' | awk 'NR > 1 { print $1 }'; }
for package in engine sim lab interop bins reports; do
  case $package in
    engine) allowed="" ;;
    sim) allowed="engine" ;;
    bins) allowed="engine" ;;
    lab) allowed="engine sim" ;;
    interop) allowed="engine sim lab reports" ;;
    reports) allowed="engine sim lab" ;;
  esac
  for dependency in $(depends "$package" | grep -xE 'engine|sim|lab|interop|bins|reports' || true); do
    grep -qw "$dependency" <<<"$allowed" || complain "$package must not depend on $dependency"
  done
done
for banned in tokio libc rand getrandom; do
  ! cargo tree --offline --quiet -p engine --edges normal --prefix none --format '{p}' | grep -q "^$banned " ||
    complain "engine must not depend on $banned"
done

ci/cycles.pl modules sim/src || fail=1
ci/cycles.pl files engine/src || fail=1
ci/docs.sh || fail=1

if git grep -nE '(^|[^a-z])/(work|root|home)/' -- ':!ci/tidy.sh' ':!*.lock'; then complain "machine paths in the repository"; fi
if git grep -nE 'todo!\(|unimplemented!\(|dbg!\(' -- '*.rs'; then complain "unfinished code"; fi
exit $fail
