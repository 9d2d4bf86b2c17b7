#!/usr/bin/env bash
# Judges the example broker, the example client and the IoT Hub emulator with amqp-conformance, or the tool itself, by
# wrong peers.
#
#   .ci/own_stack.sh DIRECTORY           with the programs in this directory, such as target/debug
#   .ci/own_stack.sh DIRECTORY matrix    the matrix of cases and wrong peers alone
#
# With the default tolerances nothing fails but what the profiles expect, each with its reason. Under the strict
# configuration nothing fails at all. In the matrix each case is passed by a right peer and failed by at least one wrong
# one.
set -euo pipefail
programs=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=$programs/amqp-conformance
broker=$programs/examples/broker
client=("$programs/examples/conformance_client" '{url}' '{address}' '{scenario}' '{count}')
options=(--level strict --robustness --jobs 4 --quiet)

# Judges a broker that is started with these options. It ends with its standard input.
judge_server() {
  local address pipe=()
  coproc pipe { "$broker" 127.0.0.1:0 --settle-second --take-durable "$@" 2>/dev/null; }
  read -r _ _ address <&"${pipe[0]}"
  "$tool" server "$address" --node one --node two --node three --node four "${options[@]}" "${extra[@]}"
  eval "exec ${pipe[1]}>&-"
  wait
}

judge_client() {
  "$tool" client "${options[@]}" "${extra[@]}" -- "${client[@]}" "$@"
}

# Judges what the emulator of an IoT hub alone has: WebSocket, TLS, claims-based security and management. Its node is one
# that needs no login.
judge_emulator() {
  local ready address authority emulator=()
  coproc emulator { exec "$programs/iothub" emulator --json --listen 127.0.0.1:0 --https-listen 127.0.0.1:0; }
  read -r ready <&"${emulator[0]}"
  address=$(sed -E 's/.*"https":"127\.0\.0\.1:([0-9]+)".*/localhost:\1/' <<<"$ready")
  authority=$(sed -E 's/.*"ca":"([^"]+)".*/\1/' <<<"$ready")
  "$tool" server "$address" --tls --ca "$authority" '--ws=/$servicebus/websocket' --node '$cbs' \
    --only E-cbs,E-mgmt,E-ws,S-5.2 --level strict --robustness --quiet --verbose
  kill "$emulator_PID"
  wait
}

if [ "${2-}" != matrix ]; then
  echo '-- the broker and the client as they are'
  extra=(--profile amqp1-broker) && judge_server
  extra=(--profile amqp1-client) && judge_client
  echo '-- the broker and the client, strict'
  extra=() && judge_server --strict
  extra=() && judge_client --strict
  echo '-- the broker with passwords, strict'
  extra=(--user user --password pencil --only S-)
  judge_server --strict --sasl-plain user:pencil --sasl-scram user:pencil
  extra=(--user user --password pencil --only S-5.3) && judge_server --strict --sasl-scram user:pencil
  echo '-- the emulator over WebSocket'
  judge_emulator
  exit
fi

echo '-- each case: its verdict on a right peer, and the wrong peer that fails it'
matrix() {
  "$programs/examples/wrong_peer" matrix crates/amqp-conformance/data/wrong.tsv "$@"
}
failed=
matrix server "$broker" || failed=yes
matrix client "${client[@]}" --strict --idle-time-out '{idle}' || failed=yes
[ -z "$failed" ]
