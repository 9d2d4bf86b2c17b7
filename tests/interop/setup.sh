#!/usr/bin/env bash
# Installs the third-party peers that the interop tests talk to. Idempotent: a second run finds all in place.
#
#   setup.sh            all of them
#   setup.sh PART...    only some of: python node rabbitmq rabbitmq4 go java proton_cpp
#
# Python packages, node modules, Java's archives and what is built go to AMQP1_INTEROP_CACHE (default: .cache beside
# this script, ignored by git); RabbitMQ is Debian's package and is never started as a service. Installing a Debian package needs root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${AMQP1_INTEROP_CACHE:-$here/.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

say() { printf 'interop setup: %s\n' "$*"; }
die() { printf 'interop setup: %s\n' "$*" >&2; exit 1; }

# quietly NAME COMMAND...: runs it, and shows the end of what it printed only when it fails
quietly() {
  local log=$cache/$1.log
  shift
  "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; die "failed: $*"; }
}

# debian PACKAGE...: installs Debian packages without starting any service of theirs
debian() {
  command -v apt-get >/dev/null || die "no apt-get here; install by hand: $*"
  [ "$(id -u)" = 0 ] || die "not root; run: apt-get install -y --no-install-recommends $*"
  local policy=/usr/sbin/policy-rc.d made=no rc=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=yes
  fi
  (
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-update apt-get -qq update
    quietly apt-install apt-get install -y -qq --no-install-recommends "$@"
  ) || rc=$?
  [ "$made" = no ] || rm -f "$policy"
  [ "$rc" = 0 ] || exit "$rc"
}

# uamqp has wheels for CPython up to 3.11 only; a newer one would have to build it from C.
python_311() {
  local p
  for p in "${AMQP1_PYTHON:-}" python3.11 python3 python; do
    [ -n "$p" ] && command -v "$p" >/dev/null || continue
    if [ "$("$p" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ]; then
      command -v "$p"
      return
    fi
  done
  die "no Python 3.11 found (AMQP1_PYTHON may name one)"
}

part_python() {
  local stamp=$cache/venv/requirements.installed python
  if cmp -s "$here/requirements.txt" "$stamp"; then
    say "python: in place"
    return
  fi
  python=$(python_311)
  # python-qpid-proton is built from its source package, with TLS only if OpenSSL's headers are there
  command -v cc >/dev/null && [ -e /usr/include/openssl/ssl.h ] || debian gcc libc6-dev libssl-dev
  rm -rf "$cache/venv"
  if ! "$python" -m venv "$cache/venv" >"$cache/venv.log" 2>&1; then
    debian python3-venv
    rm -rf "$cache/venv"
    quietly venv "$python" -m venv "$cache/venv"
  fi
  quietly pip "$cache/venv/bin/python" -m pip install --disable-pip-version-check --only-binary uamqp,certifi,cffi -r "$here/requirements.txt"
  "$cache/venv/bin/python" -c 'import proton, uamqp; assert proton.SSL.present(), "proton was built without TLS"'
  cp "$here/requirements.txt" "$stamp"
  say "python: installed $(grep -v '^#' "$here/requirements.txt" | tr '\n' ' ')"
}

# @azure/event-hubs wants Node 20.
node_20() {
  [ "$(node -p 'process.versions.node.split(".")[0] >= 20' 2>/dev/null)" = true ]
}

part_node() {
  local stamp=$cache/node_modules/.package.json.installed
  if cmp -s "$here/package.json" "$stamp"; then
    say "node: in place"
    return
  fi
  command -v node >/dev/null && command -v npm >/dev/null || debian nodejs npm
  node_20 || die "Node $(node --version) is too old: the SDKs of Azure need 20 or newer"
  cp "$here/package.json" "$cache/package.json"
  quietly npm npm install --prefix "$cache" --no-package-lock --no-fund --no-audit --loglevel=error
  cp "$here/package.json" "$stamp"
  say "node: installed $(node -p 'Object.entries(require("'"$here"'/package.json").dependencies).map(([name, version]) => `${name}@${version}`).join(" ")')"
}

part_rabbitmq() {
  if [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
    say "rabbitmq: in place"
  else
    debian rabbitmq-server
    say "rabbitmq: installed $(dpkg-query -W -f '${Version}' rabbitmq-server)"
  fi
  command -v openssl >/dev/null || debian openssl
}

# A small Debian 13 to run in a chroot, for the RabbitMQ that Debian 12 does not have: 370 MB and a minute or two, once.
part_rabbitmq4() {
  local root=$cache/trixie mirror
  if [ -e "$root/installed" ]; then
    say "rabbitmq4: in place"
    return
  fi
  [ "$(id -u)" = 0 ] || die "not root: RabbitMQ 4 runs in a chroot, which debootstrap makes"
  command -v debootstrap >/dev/null || debian debootstrap
  mirror=$(sed -nE 's/^(URIs: *|deb (\[[^]]*\] *)?)(https?:[^ ]*debian)\/?( .*)?$/\3/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true)
  [ -n "$mirror" ] || die "the apt sources name no mirror of Debian, from which debootstrap could take Debian 13"
  rm -rf "$root"
  quietly debootstrap debootstrap --variant=minbase --include=rabbitmq-server trixie "$root" "$mirror"
  printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
  rm -f "$root"/var/cache/apt/archives/*.deb
  touch "$root/installed"
  say "rabbitmq4: installed $(sed -n '/^Package: rabbitmq-server$/,/^$/s/^Version: //p' "$root/var/lib/dpkg/status")"
}

# azeventhubs and go-amqp want Go 1.25.
go_125() {
  local go minor
  for go in go /usr/local/go/bin/go; do
    minor=$("$go" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-0}" -ge 25 ]; then
      command -v "$go"
      return
    fi
  done
  die "no Go 1.25 or newer found"
}

# Modules come from Go's module proxy, by the sums in go.sum.
part_go() {
  local go stamp to=$cache/go source driver
  go=$(go_125)
  stamp=$(cd "$here/go" && { "$go" version; cat go.mod go.sum ./*/*.go "$here"/../../crates/amqp-conformance/drivers/go_driver/*; } | sha256sum)
  if [ "$(cat "$to/installed" 2>/dev/null)" = "$stamp" ]; then
    say "go: in place"
    return
  fi
  # the race detector is linked with C
  command -v cc >/dev/null || debian gcc libc6-dev
  rm -rf "$to"
  mkdir -p "$to"
  (
    cd "$here/go"
    export GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
    quietly go-vet "$go" vet ./...
    quietly go-build "$go" build -o "$to/" ./...
    # go-amqp's own tests, unmodified; which of them are integration tests is said by their file
    quietly go-amqp env CGO_ENABLED=1 "$go" test -c -race -o "$to/go-amqp.test" github.com/Azure/go-amqp
    source=$("$go" list -m -f '{{.Dir}}' github.com/Azure/go-amqp)
    sed -n 's/^func \(Test[A-Za-z0-9_]*\)(t \*testing\.T).*/\1/p' "$source/integration_test.go" >"$to/go-amqp.tests"
  )
  driver=$here/../../crates/amqp-conformance/drivers/go_driver
  (cd "$driver" && GOFLAGS=-buildvcs=false GOTOOLCHAIN=local quietly go-driver "$go" build -o "$to/driver" .)
  echo "$stamp" >"$to/installed"
  say "go: built with $("$go" env GOVERSION) $(awk '$2 ~ /^v/ && /Azure/ && !/indirect/ { print $1 "@" $2 }' "$here/go/go.mod" | tr '\n' ' ')"
}

# javac and mvn, of Java 17 or newer.
jdk_17() {
  [ "$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')" -ge 17 ] 2>/dev/null && command -v mvn >/dev/null
}

# java_program FOLDER [PARENT]: its archives from Maven Central, and its classes, built again when a file of it changes
java_program() {
  local from=${2:-$here/java}/$1 to=$cache/java/$1 stamp
  stamp=$(cat "$from"/pom.xml "$from"/*.java | sha256sum)
  if [ "$(cat "$to/installed" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  jdk_17 || debian default-jdk-headless maven
  jdk_17 || die "no Java 17 or newer with Maven found"
  rm -rf "$to"
  mkdir -p "$to"
  # Maven writes beside the pom.
  cp "$from/pom.xml" "$to/pom.xml"
  quietly "maven-$1" mvn -B -q -f "$to/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$to/lib"
  quietly "javac-$1" javac -Xlint:all,-processing,-path -cp "$to/lib/*" -d "$to/classes" "$from"/*.java
  echo "$stamp" >"$to/installed"
}

part_java() {
  java_program artemis
  java_program clients
  java_program iot
  java_program broker_j
  java_program jms_driver "$here/../../crates/amqp-conformance/drivers"
  say "java: $(cd "$cache/java" && ls */lib | grep -E '^(artemis-server|artemis-amqp|qpid-jms|qpid-broker-core|protonj2-(client|test)|iot-|azure-messaging)' | sed 's/\.jar$//' | paste -sd' ')"
}

# The example broker of Proton C++, from Debian's package of examples.
part_proton_cpp() {
  local to=$cache/proton_cpp source=/usr/share/proton/examples/cpp
  if [ -x "$to/broker" ]; then
    say "proton_cpp: in place"
    return
  fi
  [ -e "$source/broker.cpp" ] && command -v g++ >/dev/null || debian g++ libqpid-proton-cpp12-dev libqpid-proton11-dev-examples
  mkdir -p "$to"
  quietly proton-cpp g++ -O1 -std=c++17 -I"$source" -o "$to/broker" "$source/broker.cpp" -lqpid-proton-cpp -lpthread
  say "proton_cpp: built with $(dpkg-query -W -f '${Version}' libqpid-proton-cpp12-dev)"
}

[ $# -gt 0 ] || set -- python node rabbitmq rabbitmq4 go java proton_cpp
(
  # two test processes must not install at the same time
  flock 9
  for part in "$@"; do
    case $part in python | node | rabbitmq | rabbitmq4 | go | java | proton_cpp) ;; *) die "unknown part: $part (python, node, rabbitmq, rabbitmq4, go, java, proton_cpp)" ;; esac
    began=$SECONDS
    "part_$part"
    say "$part took $((SECONDS - began)) s"
  done
) 9>"$cache/setup.lock"
