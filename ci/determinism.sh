#!/usr/bin/env bash
# The same scenario and seed give the same run: every scenario file twice in the optimised build, and the short ones in a
# build of engine and sim without optimisation, all compared with the hashes pinned in scenarios/pins.json.
#   ci/determinism.sh            build and compare; on a mismatch the first event that differs is printed. Further
#                                arguments go to `karst-sim pins`: --events-max N leaves the long scenarios out
#   ci/determinism.sh --update   pin the runs as they are, after a change that is meant to change them: review the difference
#   ci/determinism.sh --build-unoptimised   build the second one only; it must come before the optimised build (ci/test.sh)
#   ci/determinism.sh --built               compare what is built
set -euo pipefail
cd "$(dirname "$0")/.."
pins=scenarios/pins.json
unoptimised_events_max=${UNOPTIMISED_EVENTS_MAX:-150000}
programs=${CARGO_TARGET_DIR:-target}/ci

# The test build of the whole workspace, of which only engine and sim differ in their optimisation: any other selection of
# packages would have other features, and compile their dependencies again. `--bench` is what makes it the test build.
build() {
  cargo build --workspace --profile ci --bin karst-sim --bench speed "$@"
}

build_unoptimised() {
  build --config profile.ci.package.engine.opt-level=0 --config profile.ci.package.sim.opt-level=0
  cp "$programs/karst-sim" "$programs/karst-sim-unoptimised"
}

case ${1:-} in
  --build-unoptimised) build_unoptimised && exit ;;
  --update) build && exec "$programs/karst-sim" pins $pins --update ;;
  --built) shift ;;
  *) build_unoptimised && build ;;
esac
"$programs/karst-sim" pins $pins "$@"
[ $# -gt 0 ] || set -- --events-max "$unoptimised_events_max"
ci/same-runs.sh "$programs/karst-sim" "$programs/karst-sim-unoptimised" --once "$@"
