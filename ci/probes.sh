#!/usr/bin/env bash
# Probes the servers and clients of kcptun, karst and mihomo, as far as they are installed, one after the other, and writes their
# verdicts as probe-NAME-ROLE.json: ci/probes.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-reports/conformance}
bin=${KARST_BIN_DIR:-target/ci}
key='probed program'
flags=(--key "$key" --crypt aes-128 --nocomp)
work=$(mktemp -d)
server=
end() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; server=; } || true
}
trap 'end; rm -rf "$work"' EXIT

probe() {
  local name=$1 status=0
  shift
  # Faults of the program are the result.
  "$bin/karst-interop" probe "${flags[@]}" --name "$name" --json "$folder/probe-${name/ /-}.json" "$@" >"$work/out" || status=$?
  tail -1 "$work/out" | sed "s/^/$name: /"
  [ "$status" -le 1 ] || exit "$status"
}

# mihomo in a role: NAME CONFIGURATION.
mihomo_folder() {
  mkdir -p "$work/$1"
  echo "$2" >"$work/$1/config.yaml"
}
tunnel='"key": "'$key'", "crypt": "aes-128", "mode": "fast3", "nocomp": true, "smuxver": 1, "datashard": 10, "parityshard": 3'
own='"mode": "rule", "log-level": "warning"'

of_kcptun_flags() {
  local name=$1 server_program=$2 client_program=$3
  command -v "$server_program" >/dev/null || { echo "$name: skipped: no $server_program"; return; }
  "$server_program" -l 127.0.0.1:29930 -t 127.0.0.1:12950 "${flags[@]}" --mode fast3 --smuxver 1 >/dev/null 2>&1 &
  server=$!
  sleep 1
  probe "$name server" --server 127.0.0.1:29930 --target 127.0.0.1:12950
  end
  probe "$name client" --client "$client_program -r {server} -l {listen} --key '$key' --crypt aes-128 --nocomp --mode fast3 --smuxver 1"
}

of_mihomo() {
  command -v mihomo >/dev/null || { echo "mihomo: skipped: not in the PATH"; return; }
  mihomo_folder server '{ '"$own"', "proxies": [], "rules": ["MATCH,DIRECT"], "listeners": [{ "name": "in", "type": "shadowsocks",
    "listen": "127.0.0.1", "port": 29930, "cipher": "none", "password": "none", "kcp-tun": { "enable": true, '"$tunnel"' } }] }'
  # It listens some time before it is ready.
  mihomo -d "$work/server" -post-up "touch '$work/up'" >/dev/null 2>&1 &
  server=$!
  for _ in $(seq 300); do [ -e "$work/up" ] && break || sleep 0.1; done
  probe "mihomo server" --shadowsocks --server 127.0.0.1:29930 --target 127.0.0.1:12950
  end
  mkdir "$work/client"
  cat >"$work/client/start" <<END
#!/bin/sh
# {server} {listen}
folder=\$(mktemp -d "$work/client/XXXXXX")
cat >"\$folder/config.yaml" <<JSON
{ $own, "rules": ["MATCH,out"], "proxies": [{ "name": "out", "type": "ss", "server": "\${1%:*}", "port": \${1##*:}, "cipher": "none",
  "password": "none", "plugin": "kcptun", "plugin-opts": { $tunnel } }],
  "listeners": [{ "name": "in", "type": "tunnel", "listen": "\${2%:*}", "port": \${2##*:}, "network": ["tcp"], "target": "127.0.0.1:9" }] }
JSON
exec mihomo -d "\$folder"
END
  chmod +x "$work/client/start"
  probe "mihomo client" --shadowsocks --client "$work/client/start {server} {listen}"
}

of_kcptun_flags kcptun kcptun-server kcptun-client
of_kcptun_flags karst "$bin/karst-server" "$bin/karst-client"
of_mihomo
