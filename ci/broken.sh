#!/usr/bin/env bash
# Builds karst with a seeded bug, and verifies that the matrix shows it as red cells in the right places: a receiver that
# acknowledges missing segments loses data where the path loses or reorders datagrams, and nowhere else. `--json FILE` keeps the result; further
# arguments are those of `karst-interop matrix`. Not part of ci/test.sh, because it needs another build of the engine.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
# A folder of its own: programs with seeded bugs must not be mistaken for the real ones.
CARGO_TARGET_DIR=$target/planted cargo build --profile ci -p bins --features planted
broken=$target/planted/ci
result=$target/planted/matrix.json
[ "${1:-}" != --json ] || { result=$2; shift 2; }
export KARST_PLANTED=ack-of-gap
"$target/ci/karst-interop" matrix --client kcptun=/usr/bin/kcptun-client --server kcptun=/usr/bin/kcptun-server \
  --client "broken=$broken/karst-client" --server "broken=$broken/karst-server" --limit 15 \
  --core --title "broken karst: acknowledges missing segments" --json "$result" "$@" && { echo "the matrix shows no bug" >&2; exit 1; }
python3 - "$result" <<'END'
import json, sys
run = json.load(open(sys.argv[1]))
lossy = {case["name"] for case in run["cases"] if case["parameters"]["path"] != "direct"}
red = [cell for cell in run["cells"] if cell["verdict"] in ("fail", "error")]
wrong = [cell for cell in red if cell["case"] not in lossy or "broken" not in (cell["client"], cell["server"])]
for cell in red:
    print(cell["verdict"], cell["client"], "->", cell["server"], cell["case"])
for cell in wrong:
    print("red in the wrong place:", cell["client"], "->", cell["server"], cell["case"])
sys.exit(not red or bool(wrong))
END
