#!/usr/bin/env bash
# Boots a minimal Debian with systemd in a container (systemd-nspawn), and runs the units of the package there (root, debootstrap,
# systemd-container):
#   ci/deb-boot.sh [FILE.deb]    target/package/karst_*.deb by default
# Instances of both units carry transfers: after a kill, with their own log files and logrotate, with the drop-ins for forged TCP and
# ports below 1024, and after an upgrade. Without these tools, it says so and leaves with 0, unless KARST_REQUIRE_BOOT is set.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '== boot: %s\n' "$*"; }

if [ "${1:-}" != --inside ]; then
  for tool in debootstrap systemd-nspawn; do
    if [ "$(id -u)" != 0 ] || ! command -v $tool >/dev/null; then
      echo "SKIPPED boot: needs root and $tool"
      [ -z "${KARST_REQUIRE_BOOT:-}" ] || exit 1
      exit 0
    fi
  done
  deb=${1:-$(ls -t target/package/karst_*.deb | head -1)}
  root=$(mktemp -d "${TMPDIR:-/tmp}/karst-boot.XXXXXX")
  trap 'rm -rf --one-file-system "$root"' EXIT
  mirror=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p' | head -1)
  [ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' /etc/apt/sources.list | head -1)
  step "debootstrap"
  debootstrap --variant=minbase --include=systemd-sysv,dbus,iproute2,python3-minimal,logrotate,libgcc-s1 \
    "${FRESH_SUITE:-bookworm}" "$root" "$mirror" >"$root/log" 2>&1 || { tail -20 "$root/log" >&2; exit 1; }
  # For the unprivileged users of the units.
  chmod 755 "$root"
  mkdir -p "$root/opt/ci"
  cp "$0" "$root/opt/ci/deb-boot.sh"
  cp "$deb" "$root/opt/karst.deb"
  # Runs once the system is up, and then powers it off.
  cat >"$root/etc/systemd/system/boot-test.service" <<UNIT
[Service]
Type=oneshot
StandardOutput=file:/opt/out
StandardError=file:/opt/out
ExecStart=/opt/ci/deb-boot.sh --inside
ExecStopPost=systemctl --no-block poweroff
UNIT
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  ln -s ../boot-test.service "$root/etc/systemd/system/multi-user.target.wants/"
  timeout --kill-after=10 150 systemd-nspawn --boot --quiet --directory="$root" --register=no --keep-unit --private-network \
    --console=pipe </dev/null >"$root/opt/console" 2>&1 || tail -5 "$root/opt/console"
  cat "$root/opt/out"
  grep -q '^== boot: passed' "$root/opt/out"
  exit
fi

fail() {
  echo "boot: FAILED: $*"
  journalctl --no-pager --lines=40 --unit='karst-*' || true
  tail --lines=20 /var/log/karst/*/*.log || true
  exit 1
}
trap 'fail "line $LINENO"' ERR

echoes='
import socket, threading
def echo(connection):
    while data := connection.recv(65536): connection.sendall(data)
    connection.close()
listener = socket.create_server(("127.0.0.1", 8388))
while True: threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
'
transfer='
import os, socket, sys, threading
stream = socket.create_connection(("127.0.0.1", 2000), 10)
stream.settimeout(20)
sent, got = os.urandom(300000), b""
threading.Thread(target=stream.sendall, args=(sent,)).start()
while len(got) < len(sent):
    part = stream.recv(65536)
    if not part: sys.exit("cut")
    got += part
sys.exit(got != sent)
'
carry() { python3 -c "$transfer"; }

ip link set lo up
python3 -c "$echoes" &
dpkg -i /opt/karst.deb >/dev/null

step "units start, and carry a transfer"
# One file for both instances: keys of the other side are named and ignored.
cat >/etc/karst/x.json <<'JSON'
{"listen": ":29900", "target": "127.0.0.1:8388", "remoteaddr": "127.0.0.1:29900", "localaddr": "127.0.0.1:2000", "key": "k"}
JSON
chmod 600 /etc/karst/x.json
systemctl enable --quiet --now karst-server@x karst-client@x
carry
for unit in karst-server@x karst-client@x; do
  pid=$(systemctl show --property=MainPID --value $unit)
  [ "$(stat -c %u "/proc/$pid")" -ge 61184 ] || fail "$unit runs as $(stat -c %U "/proc/$pid")"
  grep -q '^CapEff:\s*0000000000000000$' "/proc/$pid/status" || fail "$unit has capabilities"
  systemd-analyze security --no-pager $unit | tail -1
done

step "a killed program starts again"
kill -9 "$(systemctl show --property=MainPID --value karst-server@x)"
sleep 7
# The session with the server that was killed ends with its first connection.
carry 2>/dev/null || carry

step "logs: files of the instance, logrotate, reload"
systemctl disable --quiet --now karst-server@x karst-client@x
for side in server client; do
  folder=/var/log/karst/$side
  sed "s|^{|{\"log\": \"$folder/$side.log\", \"snmplog\": \"$folder/s.csv\", \"snmpperiod\": 1, |" /etc/karst/x.json >/etc/karst/$side.json
done
systemctl start karst-server@server karst-client@client
carry
logrotate --force /etc/logrotate.d/karst
sleep 1
carry
for side in server client; do
  log=/var/log/karst/$side/$side.log
  grep -q 'stream opened' $log.1 && grep -q 'stream opened' $log || fail "$side: logrotate"
  rm $log
  systemctl reload karst-$side@$side
done
sleep 1
carry
sleep 1
for side in server client; do
  grep -q 'stream opened' /var/log/karst/$side/$side.log || fail "$side: reload"
  [ -s /var/log/karst/$side/s.csv ] || fail "$side: no counters"
done

step "drop-ins: forged TCP, a port below 1024"
for side in server client; do
  dropins=/etc/systemd/system/karst-$side@$side.service.d
  install -D -m 644 /usr/share/doc/karst/examples/tcp.conf $dropins/tcp.conf
  install -m 644 /usr/share/doc/karst/examples/low-port.conf $dropins/
  sed -i 's|^{|{"tcp": true, |; s|29900|53|g' /etc/karst/$side.json
done
systemctl daemon-reload
systemctl restart karst-server@server karst-client@client
carry

step "upgrade and removal"
dpkg -i /opt/karst.deb >/dev/null
for unit in karst-server@server karst-client@client; do
  [ "$(systemctl is-active $unit)" = active ] || fail "$unit after the upgrade"
done
sleep 1
carry
dpkg --remove karst >/dev/null
! systemctl is-active --quiet karst-server@server || fail "runs after the removal"
step "passed"
