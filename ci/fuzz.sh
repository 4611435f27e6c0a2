#!/usr/bin/env bash
# Runs the fuzz targets in turn and prints a table of their results: ci/fuzz.sh [SECONDS] [TARGET...]
# Starts from the committed corpora; new inputs stay in the build folder (KARST_FUZZ_KEEP=1 minimizes them into the
# committed corpus). Needs the nightly toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# = 0 ] || shift
folder=interop/fuzz
[ $# -gt 0 ] || set -- datagram_open kcp_input fec_decode smux1 smux2 snappy_decode qpp tunnel session json_config
# Freed memory that the address sanitizer holds back would count as the target's.
export ASAN_OPTIONS="quarantine_size_mb=16:${ASAN_OPTIONS:-}"
work=${CARGO_TARGET_DIR:-$folder/target}/fuzz-run
mkdir -p "$work"

command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked

longest() {
  case $1 in
    datagram_open) echo 1600 ;;
    snappy_decode | json_config) echo 4096 ;;
    *) echo 1024 ;;
  esac
}

# The last value libFuzzer printed under a name, as in "cov: 123".
last() { grep -oE "$2:? *[0-9]+" "$1" | tail -1 | grep -oE '[0-9]+$' || echo 0; }

fail=0
table=$(printf '%-14s %11s %8s %6s %6s %9s %8s' target executions exec/s cov ft 'rss MB' crashes)
for target in "$@"; do
  log=$work/$target.log
  mkdir -p "$work/$target" "$folder/corpus/$target" "$work/artifacts-$target"
  status=0
  cargo +nightly fuzz run --fuzz-dir "$folder" "$target" "$work/$target" "$folder/corpus/$target" -- \
    -max_total_time="$seconds" -max_len="$(longest "$target")" -rss_limit_mb=512 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$work/artifacts-$target/" >"$log" 2>&1 || status=$?
  crashes=$(find "$work/artifacts-$target" -type f | wc -l)
  if [ "$status" != 0 ]; then
    fail=1
    tail -40 "$log" >&2
  fi
  row=$(printf '%-14s %11s %8s %6s %6s %9s %8s' "$target" "$(last "$log" number_of_executed_units)" \
    "$(last "$log" average_exec_per_sec)" "$(last "$log" cov)" "$(last "$log" ft)" \
    "$(last "$log" peak_rss_mb)" "$crashes")
  table+=$'\n'$row
  echo "$row"
  if [ "${KARST_FUZZ_KEEP:-0}" = 1 ]; then
    cp -n "$work/$target"/* "$folder/corpus/$target/" 2>/dev/null || true
    cargo +nightly fuzz cmin --fuzz-dir "$folder" "$target" "$folder/corpus/$target" >>"$log" 2>&1
  fi
done
printf '\n%s\n' "$table"
exit $fail
