#!/usr/bin/env bash
# Installs a Debian package of karst with dpkg over Debian's kcptun, on a fresh minimal Debian (root, debootstrap: see ci/fresh.sh):
#   ci/deb-test.sh [FILE.deb]    target/package/karst_*.deb by default
# kcptun's programs carry a load with kcptun's own example files while the package is installed. Then the client, and then the
# server are restarted under their old names, with the same files and the same load.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != --inside ]; then
  deb=${1:-$(ls -t target/package/karst_*.deb | head -1)}
  FRESH_COPY=$deb exec ci/fresh.sh "ci/deb-test.sh --inside"
fi

deb=$(ls /opt/given/karst_*.deb)
fail() { echo "deb: FAILED: $*" >&2; exit 1; }
step() { printf '== deb: %s\n' "$*"; }

# Echoes on port 9999, and connections through port 2000 that compare what comes back; prints "rounds N" on SIGTERM.
load='
import os, signal, socket, sys, threading, time
def echo(connection):
    while data := connection.recv(65536): connection.sendall(data)
    connection.close()
def serve():
    listener = socket.create_server(("127.0.0.1", 9999))
    while True: threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
rounds = 0
def end(*_):
    print("rounds", rounds, flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
time.sleep(0.2)
def carry():
    with socket.create_connection(("127.0.0.1", 2000), 10) as stream:
        stream.settimeout(20)
        sent = os.urandom(50000)
        stream.sendall(sent)
        got = b""
        while len(got) < len(sent):
            part = stream.recv(65536)
            if not part: raise OSError("cut after %d bytes" % len(got))
            got += part
        if got != sent: sys.exit("other bytes came back")
while True:
    try:
        carry()
        rounds += 1
    except OSError as error:
        # A session of a server that was restarted ends with its first connection.
        if rounds: sys.exit("round %d: %s" % (rounds, error))
'

# Inside a network of its own, whose loopback device has the address of the examples.
carry() {
  local old=/etc/kcptun server client loading
  ip link set lo up
  ip address add 11.22.33.44/32 dev lo
  start() { "$1" -c "$2" >>"/tmp/$1.log" 2>&1 & }
  begin_load() { # file for its result
    python3 -c "$load" >"$1" 2>&1 &
    loading=$!
    until (exec 3<>/dev/tcp/127.0.0.1/9999) 2>/dev/null; do
      kill -0 $loading || fail "the load does not start: $(cat "$1")"
      sleep 0.1
    done
  }
  loaded() { # seconds of load, and what carries it
    begin_load /tmp/rounds
    sleep "$1"
    kill $loading 2>/dev/null || true
    wait $loading || { cat /tmp/rounds /tmp/kcptun-*.log >&2; fail "$2"; }
    [ "$(awk '$1 == "rounds" { print $2 }' /tmp/rounds)" -ge 5 ] || fail "$2: $(cat /tmp/rounds)"
    echo "$2: $(cat /tmp/rounds)"
  }
  start kcptun-server $old/server.json; server=$!
  start kcptun-client $old/local.json; client=$!
  sleep 1
  loaded 4 "kcptun with its example files"

  begin_load /tmp/rounds-installing
  sleep 1
  dpkg -i "$deb"
  sleep 1
  kill $loading 2>/dev/null || true
  wait $loading || { cat /tmp/rounds-installing >&2; fail "the load during the installation"; }
  echo "kcptun during the installation: $(cat /tmp/rounds-installing)"

  [ "$(readlink /usr/bin/kcptun-client)" = karst-client ] || fail "kcptun-client is no link to karst-client"
  kcptun-client -v | grep -q '^kcptun (karst) ' || fail "kcptun-client is not karst"
  kill $client; wait $client || true
  start kcptun-client $old/local.json; client=$!
  sleep 1
  loaded 4 "karst's client with the old file, kcptun's server"
  kill $server; wait $server || true
  start kcptun-server $old/server.json; server=$!
  sleep 1
  loaded 4 "karst at both ends with the old files"
  begin_load /tmp/rounds
  kcptun-client check -c $old/local.json || fail "check of the old files"
  kill $loading $client $server
}

if [ "${2:-}" = --carry ]; then
  carry
  exit
fi

step "packages of the test"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  kcptun systemd logrotate iproute2 python3 bash-completion libgcc-s1 >/tmp/apt.log 2>&1 || { tail -20 /tmp/apt.log >&2; exit 1; }
mkdir -p /etc/kcptun
cp /usr/share/doc/kcptun/examples/*.json /etc/kcptun/

step "installation over kcptun under load"
unshare --net "$0" --inside --carry
dpkg --status karst | grep -q '^Status: install ok installed' || fail "karst is not installed"
! dpkg --status kcptun 2>/dev/null | grep -q '^Status: install ok installed' || fail "kcptun is still installed"
[ -z "$(dpkg --verify karst)" ] || fail "files differ from the package: $(dpkg --verify karst)"

step "units"
for unit in karst-client@x.service karst-server@x.service; do
  systemd-analyze verify --man=no "$unit" || fail "systemd-analyze verify $unit"
  exposure=$(systemd-analyze security --offline=yes --no-pager "${unit/@x/@}" 2>/dev/null | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
  echo "$unit: exposure $exposure"
  awk -v exposure="$exposure" 'BEGIN { exit !(exposure != "" && exposure <= 1.5) }' || fail "$unit: exposure $exposure, more than 1.5"
done

step "manual pages, completions, logrotate, examples"
for program in karst-client karst-server kcptun-client kcptun-server; do
  zcat "/usr/share/man/man1/$program.1.gz" | grep -q '^.SH CHECK' || fail "manual page of $program"
done
for program in karst-client karst-server; do
  bash -c ". /usr/share/bash-completion/completions/$program && complete -p $program" >/dev/null || fail "completion of $program"
  [ -s /usr/share/zsh/vendor-completions/_$program ] && [ -s /usr/share/fish/vendor_completions.d/$program.fish ] || fail "completions of $program"
done
mkdir -p /var/log/karst/x && echo line >/var/log/karst/x/x.log
logrotate --force /etc/logrotate.d/karst && [ "$(zcat -f /var/log/karst/x/x.log.1*)" = line ] || fail "logrotate"
for side in server client; do
  status=0
  "karst-$side" check -c "/usr/share/doc/karst/examples/$side.json" >/tmp/check 2>&1 || status=$?
  # No such server, and no such target: the file itself is fine.
  [ $status -ge 3 ] || { cat /tmp/check; fail "example $side.json: status $status"; }
done
[ -s /etc/karst/README ] && [ -s /usr/share/karst/grafana/karst.json ] && [ -s /usr/share/karst/prometheus/karst.rules.yml ] || fail "files"

step "upgrade, removal, return to kcptun"
echo '{}' >/etc/karst/mine.json
dpkg -i "$deb" >/dev/null
dpkg --remove karst >/dev/null
[ ! -e /usr/bin/karst-server ] && [ ! -L /usr/bin/kcptun-server ] || fail "programs are left"
[ -e /etc/karst/mine.json ] || fail "the user's file is gone"
dpkg --purge karst >/dev/null 2>&1
[ ! -e /etc/logrotate.d/karst ] || fail "configuration is left"
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq kcptun >/dev/null
kcptun-server -v | grep -qv karst || fail "kcptun did not come back"
step "passed"
