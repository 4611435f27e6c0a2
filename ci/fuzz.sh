#!/usr/bin/env bash
# Runs the fuzz targets, two at a time, and prints a table of their results and PASS or FAIL: ci/fuzz.sh [SECONDS] [TARGET...]
# Each runs SECONDS (60) from the committed corpora; new inputs stay in the build folder (KARST_FUZZ_KEEP=1 minimizes them into
# the committed corpus). An input fails when it breaks a promise, or takes more steps than its target allows: the build counts
# every edge of the control-flow graph (interop/src/fuzz/steps.rs), and the fuzzer prefers inputs that take more of the limit. The
# table has the largest share of the limit taken. Before, a seeded loop of quadratic cost must fail that way.
# KARST_FUZZ_JOBS sets how many run at a time. Needs the nightly toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# = 0 ] || shift
folder=interop/fuzz
[ $# -gt 0 ] || set -- work tunnel session kcp_input smux1 smux2 smuxb yamux fec_decode datagram_open tcp_frame snappy_decode qpp json_config socks_request http_head
jobs=${KARST_FUZZ_JOBS:-2}
# Freed memory that the address sanitizer holds back would count as the target's.
export ASAN_OPTIONS="quarantine_size_mb=16:${ASAN_OPTIONS:-}"
# The count of steps replaces a function of libFuzzer.
export RUSTFLAGS="-Cllvm-args=-sanitizer-coverage-trace-pc -Clink-arg=-Wl,-z,muldefs ${RUSTFLAGS:-}"
programs=${CARGO_TARGET_DIR:-$folder/target}
work=$programs/fuzz-run
mkdir -p "$work"

command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked

longest() {
  case $1 in
    datagram_open | tcp_frame) echo 1600 ;;
    snappy_decode | json_config | http_head) echo 4096 ;;
    *) echo 1024 ;;
  esac
}

# The last value libFuzzer printed under a name, as in "cov: 123".
last() { grep -oE "$2:? *[0-9]+" "$1" | tail -1 | grep -oE '[0-9]+$' || echo 0; }

program() { find "$programs" -path "*/release/$1" -type f | head -1; }

build() { cargo +nightly fuzz build --fuzz-dir "$folder" "$@" >"$work/build.log" 2>&1 || { tail -40 "$work/build.log" >&2; return 1; }; }

run() {
  local target=$1 log=$work/$1.log status=0 crashes
  mkdir -p "$work/$target" "$folder/corpus/$target"
  rm -rf "$work/artifacts-$target" && mkdir "$work/artifacts-$target"
  "$(program "$target")" "$work/$target" "$folder/corpus/$target" \
    -max_total_time="$seconds" -max_len="$(longest "$target")" -rss_limit_mb=512 -timeout=120 -print_final_stats=1 \
    -artifact_prefix="$work/artifacts-$target/" >"$log" 2>&1 || status=$?
  crashes=$(find "$work/artifacts-$target" -type f ! -name 'slow-unit-*' | wc -l)
  printf '%-14s %11s %8s %6s %6s %9s %7s %8s\n' "$target" "$(last "$log" number_of_executed_units)" \
    "$(last "$log" average_exec_per_sec)" "$(last "$log" cov)" "$(last "$log" ft)" \
    "$(last "$log" peak_rss_mb)" "$(last "$log" work)" "$crashes" | tee "$work/$target.row"
  [ "$status" = 0 ] || { tail -40 "$log" >&2; touch "$work/$target.failed"; }
}

build
# The programs' crate takes long to build.
for target in "$@"; do
  case $target in json_config | socks_request | http_head) build --features programs "$target" ;; esac
done

# The tampered twin: the limit of steps must see a loop of quadratic cost, in the same inputs that pass without it.
twin=$work/work_planted.log
if "$(program work_planted)" -runs=0 "$folder/corpus/work" -artifact_prefix="$work/twin-" >"$twin" 2>&1 ||
  ! grep -q 'steps taken' "$twin"; then
  echo "FAIL fuzz: a loop of quadratic cost keeps to the limit of steps" >&2
  exit 1
fi
rm -f "$work"/twin-*

header=$(printf '%-14s %11s %8s %6s %6s %9s %7s %8s' target executions exec/s cov ft 'rss MB' 'steps %' crashes)
echo "$header"
rm -f "$work"/*.failed "$work"/*.row
for target in "$@"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
  run "$target" &
done
wait
if [ "${KARST_FUZZ_KEEP:-0}" = 1 ]; then
  for target in "$@"; do
    cp -n "$work/$target"/* "$folder/corpus/$target/" 2>/dev/null || true
    cargo +nightly fuzz cmin --fuzz-dir "$folder" "$target" "$folder/corpus/$target" >>"$work/$target.log" 2>&1
  done
fi
printf '\n%s\n' "$header"
failed=()
for target in "$@"; do
  cat "$work/$target.row" 2>/dev/null || touch "$work/$target.failed"
  [ ! -e "$work/$target.failed" ] || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAIL fuzz: ${failed[*]}"
  exit 1
fi
echo "PASS fuzz: $# targets, $seconds s each"
