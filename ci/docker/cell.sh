#!/usr/bin/env bash
# The launcher of `karst-interop matrix --launcher`: runs a cell in four containers (compose.yaml). Programs are images.
#   ci/docker/cell.sh facts IMAGE     prints version and digest as JSON
#   ci/docker/cell.sh cell <ORDER     prints the run as JSON
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
json() { python3 -c 'import json, sys; print(json.dumps(eval(sys.argv[1], {"a": sys.argv[2:], "json": json})))' "$@"; }

if [ "$1" = facts ]; then
  version=$(docker run --rm --network none "$2" --version 2>&1 | head -1)
  digest=$(docker image inspect --format '{{.Id}}' "$2")
  json '{"version": a[0], "sha256": a[1].removeprefix("sha256:")}' "$version" "$digest"
  exit
fi

# A network number of its own for each cell that runs at the same time.
for number in $(seq 1 200); do
  lock=${TMPDIR:-/tmp}/karst-cell-$number.lock
  exec 9>"$lock"
  ! flock -n 9 || break
done
project=karstcell$number
CELL=$(mktemp -d)
chmod 777 "$CELL"
cat >"$CELL/order.json"
field() { python3 -c 'import json, sys; v = json.load(open(sys.argv[1]))[sys.argv[2]]; print(" ".join(v) if isinstance(v, list) else v)' "$CELL/order.json" "$1"; }
export CELL NET=10.213.$number LINK SEED CLIENT_IMAGE SERVER_IMAGE CLIENT_FLAGS SERVER_FLAGS KIT_IMAGE=${KIT_IMAGE:-karst/kit}
LINK=$(field path) SEED=$(field seed) CLIENT_IMAGE=$(field client) SERVER_IMAGE=$(field server)
CLIENT_FLAGS=$(field client_flags) SERVER_FLAGS=$(field server_flags)

compose() {
  if docker compose version >/dev/null 2>&1; then
    docker compose -p "$project" -f "$here/compose.yaml" "$@"
  else
    docker-compose -p "$project" -f "$here/compose.yaml" "$@"
  fi
}
clean() {
  compose down --timeout 0 --volumes >/dev/null 2>&1 || true
  rm -rf "$CELL"
}
trap clean EXIT

timeout "${CELL_SECONDS:-100}" bash -c "$(declare -f compose); here='$here' project='$project'
  compose up --no-color --abort-on-container-exit --exit-code-from target" >"$CELL/up.log" 2>&1 || true
logs() { compose logs --no-color "$1" 2>/dev/null | sed 's/^[^|]*| //' | tail -8 | cut -c1-200 || true; }
run=$(cat "$CELL/run.json" 2>/dev/null || true)
[ -n "$run" ] || run=$(json '{"verdict": "error", "why": a[0], "elapsed_ms": 0, "bytes": 0}' "$(tail -8 "$CELL/up.log")")
json '{"run": json.loads(a[0]), "commands": a[1:3], "logs": a[3:5]}' "$run" "$SERVER_IMAGE $SERVER_FLAGS" "$CLIENT_IMAGE $CLIENT_FLAGS" \
  "$(logs server)" "$(logs client)"
