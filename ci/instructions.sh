#!/usr/bin/env bash
# Counts the instructions of each part of the packet path with valgrind (callgrind) in an optimised build, and compares them
# with ci/instructions.tsv: no part may rise by more than a tenth. Not part of ci/test.sh, because it needs that build.
#   ci/instructions.sh            measure and compare; exit status 1 when a part takes more, or is not in the list
#   ci/instructions.sh --update   measure and write the list, to be reviewed like any other change
#   ci/instructions.sh --compare BASELINE MEASURED   compare two lists
# Parts choose their code by the processor's features, so only lists of equal features are compared. Valgrind 3.19 supports
# neither AVX-512 nor GFNI nor VAES: the code for AVX2 and AES-NI is counted.
set -euo pipefail
cd "$(dirname "$0")/.."
baseline=ci/instructions.tsv
allowed_pct=10

# Lists: "# features", then lines of part, instructions per unit, unit.
compare() {
  local was is
  was=$(head -1 "$1") is=$(head -1 "$2")
  if [ "$was" != "$is" ]; then
    echo "SKIPPED instructions: counted with \"${was#\# }\", here is \"${is#\# }\""
    return 0
  fi
  awk -F'\t' -v allowed="$allowed_pct" '
    /^#/ { next }
    NR == FNR { was[$1] = $2; next }
    { seen[$1] = 1 }
    !($1 in was) { printf "%-14s %9d  is not in the list: ci/instructions.sh --update\n", $1, $2; bad = 1; next }
    {
      change = ($2 - was[$1]) * 100 / was[$1]; verdict = ""
      if (change > allowed) { verdict = "  MORE than " allowed " % more"; bad = 1 }
      if (change < -allowed) verdict = "  less: worth an --update"
      printf "%-14s %9d  %+6.1f %%  per %s%s\n", $1, $2, change, $3, verdict
    }
    END {
      for (part in was) if (!(part in seen)) { printf "%-14s was not counted\n", part; bad = 1 }
      exit bad
    }' "$1" "$2"
}

measure() {
  local program features part units collected log
  log=$(mktemp)
  program=$(cargo bench --quiet -p engine --bench instructions --no-run --message-format json |
    sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p')
  features=$(valgrind --quiet --tool=none "$program" --features)
  echo "# $features"
  for part in $("$program" --list); do
    units=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*measured*' \
      --log-file="$log" "$program" "$part")
    collected=$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log")
    [ "${collected:-0}" -gt 0 ] || { echo "$part: valgrind counted nothing" >&2; cat "$log" >&2; return 1; }
    printf '%s\t%d\t%s\n' "$part" $((collected / ${units%%$'\t'*})) "${units#*$'\t'}"
  done
  rm -f "$log"
}

if [ "${1:-}" = --compare ]; then
  compare "$2" "$3"
  exit
fi
if ! command -v valgrind >/dev/null; then
  echo "SKIPPED instructions: valgrind is not installed"
  exit 0
fi
if [ "${1:-}" = --update ]; then
  list=$(measure)
  printf '%s\n' "$list" >"$baseline"
  cat "$baseline"
  exit
fi
list=$(mktemp)
trap 'rm -f "$list"' EXIT
measure >"$list"
compare "$baseline" "$list"
