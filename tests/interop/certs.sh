#!/usr/bin/env bash
# Makes a CA and a server certificate for localhost and 127.0.0.1 in a folder: ca.pem, server.pem, server.key.
# Test certificates, good for a day; whoever has them anew makes them anew.
#
#   certs.sh FOLDER
set -euo pipefail
mkdir -p "${1:?usage: certs.sh FOLDER}"
cd "$1"
umask 077
ext=$(mktemp)
trap 'rm -f "$ext" server.csr ca.srl certs.log' EXIT
printf '%s\n' 'subjectAltName=DNS:localhost,IP:127.0.0.1' 'extendedKeyUsage=serverAuth' \
  'keyUsage=digitalSignature' 'basicConstraints=CA:FALSE' 'authorityKeyIdentifier=keyid' >"$ext"
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
{
  openssl req -x509 "${key[@]}" -keyout ca.key -out ca.pem -days 1 -sha256 -subj '/CN=interop test CA' \
    -addext keyUsage=critical,keyCertSign,cRLSign
  openssl req -new "${key[@]}" -keyout server.key -out server.csr -subj /CN=localhost
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -sha256 -out server.pem -extfile "$ext"
} >certs.log 2>&1 || { cat certs.log >&2; exit 1; }
rm -f ca.key
