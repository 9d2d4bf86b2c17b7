#!/usr/bin/env bash
# Judges the example broker and the example client with amqp-conformance, or the tool itself, by wrong peers.
#
#   .ci/own_stack.sh DIRECTORY           with the programs in this directory, such as target/debug
#   .ci/own_stack.sh DIRECTORY matrix    the matrix of cases and wrong peers alone
#
# With the default tolerances nothing fails but what the profiles expect, each with its reason. Under the strict
# configuration nothing fails at all. The reports are written to DIRECTORY/own_stack, from which `amqp1-requirements judged`
# makes the record for REQUIREMENTS.md. In the matrix each case is passed by a right peer and failed by one that is wrong about
# its rule.
set -euo pipefail
programs=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=$programs/amqp-conformance
broker=$programs/examples/broker
client=("$programs/examples/conformance_client" '{url}' '{address}' '{scenario}' '{count}')
options=(--level strict --robustness --quiet)

# Runs the tool with these arguments for the report NAME. What comes out otherwise than recorded is judged once more, one
# case at a time: a busy machine may be the reason.
judge() {
  local report=$reports/$1 code=0 again
  "$tool" "${@:2}" "${options[@]}" --jobs "$jobs" --json "$report.json" "${command[@]}" || code=$?
  [ "$code" -le 1 ] || return "$code"
  again=$("$programs/amqp1-requirements" surprises "$report.json")
  [ -n "$again" ] || return "$code"
  echo "-- again: $again"
  "$tool" "${@:2}" "${options[@]}" --only "$again" --json "$report.again.json" "${command[@]}"
}

# Judges a broker that is started with the options of `started`. It ends with its standard input.
judge_server() {
  local address pipe=() command=() jobs=4
  coproc pipe { "$broker" 127.0.0.1:0 --settle-second --take-durable "${started[@]}" 2>/dev/null; }
  read -r _ _ address <&"${pipe[0]}"
  judge "server-$1" server "$address" --node one --node two --node three --node four "${@:2}"
  eval "exec ${pipe[1]}>&-"
  wait
}

# Judges what the emulator of an IoT hub alone has: WebSocket, TLS, claims-based security and management. Its node is one
# that needs no login.
judge_emulator() {
  local ready address authority emulator=() command=() jobs=1
  coproc emulator { exec "$programs/iothub" emulator --json --listen 127.0.0.1:0 --https-listen 127.0.0.1:0; }
  trap 'kill "$emulator_PID"' EXIT
  read -r ready <&"${emulator[0]}"
  address=$(sed -E 's/.*"https":"127\.0\.0\.1:([0-9]+)".*/localhost:\1/' <<<"$ready")
  authority=$(sed -E 's/.*"ca":"([^"]+)".*/\1/' <<<"$ready")
  judge emulator-default server "$address" --tls --ca "$authority" '--ws=/$servicebus/websocket' --node '$cbs' \
    --only E-cbs,E-mgmt,E-ws,S-5.2
  trap - EXIT
  kill "$emulator_PID"
  wait
}

# Judges the client, run with the options of `started`.
judge_client() {
  local command=(-- "${client[@]}" "${started[@]}") jobs=4
  judge "client-$1" client "${@:2}"
}

if [ "${2-}" != matrix ]; then
  reports=$programs/own_stack
  rm -rf "$reports" && mkdir "$reports"
  echo '-- the broker and the client as they are'
  started=(--only-anonymous) && judge_server default --profile amqp1-broker
  started=() && judge_client default --profile amqp1-client
  echo '-- the broker and the client, strict'
  started=(--strict)
  judge_server strict
  judge_client strict
  echo '-- the broker and the client, by cases that take longer'
  started=(--only-anonymous --idle-time-out 4) && judge_server slow-default --profile amqp1-broker --slow --only slow
  started=(--idle-time-out 4) && judge_client slow-default --profile amqp1-client --slow --only slow
  echo '-- the client with other settle modes'
  started=(--settled --second)
  judge_client settled-default --profile amqp1-client --only T-2.7.5-8,T-2.7.5-13,T-2.6.12-4
  started=(--unsettled) && judge_client unsettled-default --profile amqp1-client --only T-2.7.5-9/sends
  echo '-- the broker with passwords'
  login=(--user user --password pencil --only)
  started=(--sasl-plain user:pencil --sasl-scram user:pencil)
  judge_server login-default --profile amqp1-broker "${login[@]}" S-
  started+=(--strict) && judge_server login-strict "${login[@]}" S-
  started=(--strict --sasl-scram user:pencil) && judge_server scram-strict "${login[@]}" S-5.3
  echo '-- the emulator over WebSocket'
  judge_emulator
  echo '-- the broker and the client, with TLS'
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  certificate=$folder/certificate.pem key=$folder/key.pem
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -addext 'basicConstraints=critical,CA:FALSE' \
    -keyout "$key" -out "$certificate" 2>/dev/null
  started=(--only-anonymous --tls "$certificate" "$key")
  judge_server tls-default --profile amqp1-broker --only S-5.2 --tls --ca "$certificate"
  export SSL_CERT_FILE=$certificate
  started=() && judge_client tls-default --profile amqp1-client --only S-5.2 --tls-cert "$certificate" --tls-key "$key"
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
