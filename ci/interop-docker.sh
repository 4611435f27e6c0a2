#!/usr/bin/env bash
# Builds the images of ci/docker, runs the matrix with karst and kcptun in containers, in both directions, and cleans up.
#   ci/interop-docker.sh [ARGUMENTS OF karst-interop matrix]     ci/docker/cases.json by default
# PROGRAMS is the folder of karst-client, karst-server and karst-interop (target/ci by default).
# Without a daemon it starts one, in a network namespace of its own, and ends it. Without a registry it makes the base image itself.
# Where Docker cannot be used, it says so and leaves with 0, unless KARST_REQUIRE_DOCKER is set.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${PROGRAMS:-${CARGO_TARGET_DIR:-target}/ci}
suite=bookworm
base=debian:$suite-slim

skip() {
  echo "SKIPPED docker: $*"
  [ -z "${KARST_REQUIRE_DOCKER:-}" ] || exit 1
  exit 0
}

command -v docker >/dev/null || skip "docker is not available"
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || skip "docker compose is not available"

work=$(mktemp -d)
daemon=""
images=()
clean() {
  local status=$?
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  else
    [ ${#images[@]} = 0 ] || docker rmi --force "${images[@]}" >/dev/null 2>&1 || true
  fi
  rm -rf --one-file-system "$work" || true
  exit $status
}
trap clean EXIT
trap 'exit 130' INT TERM HUP

# A daemon of this script: its data, its socket and its network end with it.
start_daemon() {
  [ "$(id -u)" = 0 ] || skip "no daemon answers, and starting one needs root"
  command -v dockerd >/dev/null || skip "no daemon answers, and dockerd is not installed"
  unshare --net true 2>/dev/null || skip "no daemon answers, and the system refuses network namespaces"
  export DOCKER_HOST=unix://$work/docker.sock
  unshare --net sh -c "ip link set lo up; exec dockerd --data-root '$work/data' --exec-root '$work/exec' \
    --pidfile '$work/pid' --host '$DOCKER_HOST'" >"$work/dockerd.log" 2>&1 &
  daemon=$!
  for _ in $(seq 100); do
    ! docker info >/dev/null 2>&1 || return 0
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.3
  done
  tail -3 "$work/dockerd.log" >&2
  skip "dockerd does not start here"
}
docker info >/dev/null 2>&1 || start_daemon

# With the packages that the images would fetch: a daemon without a registry mostly has no archive either. It is kept beside
# what is built, because it takes minutes.
saved=${CARGO_TARGET_DIR:-target}/ci-docker-$suite.tar
make_base() {
  [ ! -f "$saved" ] || { docker import "$saved" "$base" >/dev/null; return; }
  [ "$(id -u)" = 0 ] || skip "no registry, and debootstrap needs root"
  command -v debootstrap >/dev/null || skip "no registry, and debootstrap is not installed"
  echo "== debootstrap $suite, since no registry has $base"
  local mirror
  mirror=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p' | head -1)
  [ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' /etc/apt/sources.list 2>/dev/null | head -1)
  debootstrap --variant=minbase --include=busybox-static,kcptun "$suite" "$work/root" $mirror >"$work/debootstrap.log" 2>&1 ||
    { tail -5 "$work/debootstrap.log" >&2; return 1; }
  mkdir -p "${saved%/*}"
  tar -C "$work/root" --one-file-system -cf "$saved.new" .
  mv "$saved.new" "$saved"
  docker import "$saved" "$base" >/dev/null
  rm -rf --one-file-system "$work/root"
}
if ! docker image inspect "$base" >/dev/null 2>&1 && ! timeout 60 docker pull --quiet "$base" >/dev/null 2>&1; then
  make_base
  images+=("$base")
fi

echo "== images"
mkdir "$work/context"
for program in karst-client karst-server karst-interop; do
  [ -f "$programs/$program" ] || { echo "$programs/$program is not built" >&2; exit 1; }
  strip -o "$work/context/$program" "$programs/$program"
done
build() {
  docker build --quiet --file "ci/docker/$1.Dockerfile" --build-arg "PROGRAM=$2" --tag "$3" "$work/context" >"$work/build.log" 2>&1 ||
    { cat "$work/build.log" >&2; return 1; }
  images+=("$3")
}
build karst karst-client karst/client
build karst karst-server karst/server
build kcptun kcptun-client kcptun/client
build kcptun kcptun-server kcptun/server
build kit "" karst/kit
for image in karst/client karst/server; do
  bytes=$(docker image inspect --format '{{.Size}}' $image)
  user=$(docker image inspect --format '{{.Config.User}}' $image)
  echo "$image: $bytes bytes, user $user"
  [ "$bytes" -lt 12000000 ] || { echo "$image is larger than 12 MB" >&2; exit 1; }
  [ "${user%%:*}" -gt 0 ] || { echo "$image runs as root" >&2; exit 1; }
done

echo "== health"
container=$(docker run --detach --network none karst/server -l :29900 -t 127.0.0.1:9 --key k)
health=""
for _ in $(seq 60); do
  health=$(docker inspect --format '{{.State.Health.Status}}' "$container")
  [ "$health" = starting ] || break
  sleep 0.5
done
docker rm --force "$container" >/dev/null
echo "karst/server is $health"
[ "$health" = healthy ]

echo "== matrix"
[ $# -gt 0 ] || set -- --cases ci/docker/cases.json
"$programs/karst-interop" matrix --launcher ci/docker/cell.sh --jobs "${JOBS:-2}" \
  --client kcptun=kcptun/client --client karst=karst/client --server kcptun=kcptun/server --server karst=karst/server "$@"
