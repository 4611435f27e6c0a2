#!/usr/bin/env bash
# Runs the two commands of README.md on a fresh minimal Debian, with nothing but Rust and a C linker installed: a chroot
# made by debootstrap from the archive this machine uses. Not part of ci/test.sh, because it downloads a system and builds
# everything from scratch.
#   ci/fresh.sh              both commands
#   ci/fresh.sh COMMAND...   other commands in their place, each one argument
# The toolchain of this machine is mounted read-only, and so are the sources that cargo has downloaded. Takes at most
# FRESH_MINUTES (90). Without root or debootstrap, it says so and leaves with 0, unless KARST_REQUIRE_FRESH is set.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${FRESH_MINUTES:-90}
suite=${FRESH_SUITE:-bookworm}

skip() {
  echo "SKIPPED fresh: $*"
  [ -z "${KARST_REQUIRE_FRESH:-}" ] || exit 1
  exit 0
}

[ "$(id -u)" = 0 ] || skip "needs root for a chroot and its mounts"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
command -v unshare >/dev/null || skip "unshare is not installed (util-linux)"

# The mounts are in a mount namespace of their own, which ends with this process: none can outlive it.
if [ -z "${FRESH_INSIDE:-}" ]; then
  unshare --mount --propagation private true 2>/dev/null || skip "the system refuses mount namespaces"
  root=$(mktemp -d "${TMPDIR:-/tmp}/karst-fresh.XXXXXX")
  # Tests run programs as other users.
  chmod 755 "$root"
  trap 'rm -rf --one-file-system "$root"' EXIT
  trap 'exit 130' INT TERM HUP
  FRESH_INSIDE=$root timeout --foreground --kill-after=30 "${minutes}m" \
    unshare --mount --pid --fork --kill-child --propagation private "$0" "$@"
  exit
fi
root=$FRESH_INSIDE

# The first mirror of the archive in use, in either format of apt's sources.
mirror() {
  cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p' | head -1
  sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' /etc/apt/sources.list 2>/dev/null | head -1
}

echo "== debootstrap $suite"
debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev "$suite" "$root" "$(mirror | head -1)" >"$root.log" 2>&1 || {
  tail -20 "$root.log" >&2
  rm -f "$root.log"
  exit 1
}
rm -f "$root.log"

mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t sysfs -o ro sysfs "$root/sys" || true

# The network as this machine has it: names, certificates, proxies of apt.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
[ ! -d /etc/apt/apt.conf.d ] || cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
if compgen -G '/etc/apt/sources.list.d/*.sources' >/dev/null; then
  rm -f "$root/etc/apt/sources.list"
  cp /etc/apt/sources.list.d/*.sources "$root/etc/apt/sources.list.d/"
fi
[ ! -f /usr/share/keyrings/debian-archive-keyring.gpg ] ||
  cp -n /usr/share/keyrings/debian-archive-keyring.gpg "$root/usr/share/keyrings/"

toolchain=$(rustc --print sysroot)
mkdir -p "$root/opt/rust" "$root/opt/cargo/registry" "$root/opt/registry" "$root/opt/karst"
mount --bind -o ro "$toolchain" "$root/opt/rust"
registry=${CARGO_HOME:-$HOME/.cargo}/registry
if [ -d "$registry" ]; then
  # Cargo writes locks and sources there, which must not reach this machine.
  mkdir "$root/opt/changes" "$root/opt/scratch"
  mount -t overlay overlay -o "lowerdir=$registry,upperdir=$root/opt/changes,workdir=$root/opt/scratch" \
    "$root/opt/cargo/registry" || cp -r "$registry/." "$root/opt/cargo/registry/"
fi

# The committed files and their history: the checks ask git which files there are.
git -c safe.directory='*' clone --quiet --no-hardlinks "$PWD" "$root/opt/karst"

# Files for the commands.
if [ -n "${FRESH_COPY:-}" ]; then
  mkdir -p "$root/opt/given"
  # shellcheck disable=SC2086 # one word for each file
  cp $FRESH_COPY "$root/opt/given/"
fi

[ $# -gt 0 ] || set -- "cargo run --release -p sim -- scenarios/lossy-adsl.json" "ci/test.sh"
for command in "$@"; do
  printf '\n== fresh: %s\n' "$command"
  env -i HOME=/root PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    CARGO_HOME=/opt/cargo ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    chroot "$root" bash -c "cd /opt/karst && $command"
done
echo "== fresh: done"
