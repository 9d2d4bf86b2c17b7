#!/usr/bin/env bash
# Makes certificates of devices in a folder: ca.pem is an authority's; by-ca.pem is of that authority, for the device
# x509-by-ca; self.pem, other.pem and stranger.pem are self-signed. Each has its key beside it. Good for a day.
#
#   device_certs.sh FOLDER
set -euo pipefail
mkdir -p "${1:?usage: device_certs.sh FOLDER}"
cd "$1"
umask 077
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
ext=$(mktemp)
trap 'rm -f "$ext" by-ca.csr ca.srl certs.log' EXIT
printf '%s\n' 'extendedKeyUsage=clientAuth' 'keyUsage=digitalSignature' 'basicConstraints=CA:FALSE' >"$ext"
{
  openssl req -x509 "${key[@]}" -keyout ca.key -out ca.pem -days 1 -sha256 -subj '/CN=interop device CA' \
    -addext keyUsage=critical,keyCertSign,cRLSign
  openssl req -new "${key[@]}" -keyout by-ca.key -out by-ca.csr -subj /CN=x509-by-ca
  openssl x509 -req -in by-ca.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -sha256 -out by-ca.pem -extfile "$ext"
  for name in self other stranger; do
    openssl req -x509 "${key[@]}" -keyout "$name.key" -out "$name.pem" -days 1 -sha256 -subj "/CN=$name"
  done
} >certs.log 2>&1 || { cat certs.log >&2; exit 1; }
