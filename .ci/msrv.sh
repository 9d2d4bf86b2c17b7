#!/usr/bin/env bash
# Checks the oldest compilers that the crates promise to build with: the codec, auth, engine, broker, script and amqp1
# (without WebSocket) with 1.85, which Debian 12 has as rustc-web; the rest with 1.95.
#
#   .ci/msrv.sh                  where a compiler is not available, it says so and passes
#   .ci/msrv.sh --require        there it fails
#   .ci/msrv.sh --packed FOLDER  the crates that .ci/pack has unpacked there; where a compiler is not available, the
#                                newest one checks them
#   .ci/msrv.sh --fetch          only unpacks the compilers
#
# A toolchain of rustup's is used where it is installed. Otherwise Debian's packages are unpacked in the target
# directory, and nothing on the machine changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

old=1.85
debian_version=1.85.0+dfsg3-1~deb12u3
rest=1.95
target=${CARGO_TARGET_DIR:-$PWD/target}/msrv
# What was checked must not depend on flags or tools that only newer compilers have.
unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTFLAGS

require='' packed='' fetch=''
case $#$* in
  0) ;;
  1--require) require=yes ;;
  1--fetch) fetch=yes ;;
  2--packed\ *) packed=$(realpath "$2") ;;
  *) echo "usage: $0 [--require | --packed FOLDER | --fetch]" >&2; exit 2 ;;
esac
sources=${packed:-$PWD/crates}
# The lock file of unpacked crates lists no others, so cargo has to rewrite it.
frozen=$([ -n "$packed" ] && echo --offline || echo --locked)

# Says why a check was left out; that is an error only where it was asked for.
left_out() {
  echo "$1" >&2
  [ -z "$require" ] || exit 1
}

version_of() {
  "$1" --version 2>/dev/null | cut -d' ' -f2
}

# The path of rustup's compiler of this version, if it is installed.
of_rustup() {
  command -v rustup >/dev/null || return 1
  local toolchain
  toolchain=$(rustup toolchain list | cut -d' ' -f1 | grep -E "^$1(\.[0-9]+)?-" | tail -n1) || return 1
  rustup which --toolchain "$toolchain" rustc
}

# The path of Debian's compiler, unpacked below the target directory.
of_debian() {
  local at=$target/debian-$debian_version
  local rustc=$at/root/usr/bin/rustc
  if [ "$(cat "$at/done" 2>/dev/null)" != "$debian_version" ]; then
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    rm -rf "$at"
    mkdir -p "$at/root" "$at/lists/partial" "$at/cache/archives/partial"
    local packages=("rustc-web=$debian_version" "libstd-rust-web-dev=$debian_version"
      "libstd-rust-web-1.85=$debian_version" libllvm19)
    # LLVM's own libraries, where the machine has not got them.
    local library package
    for library in libz3.so.4:libz3-4 libedit.so.2:libedit2 libxml2.so.2:libxml2 libffi.so.8:libffi8; do
      package=${library#*:}
      ldconfig -p 2>/dev/null | grep -q "${library%%:*}" || packages+=("$package")
    done
    fetch_packages "$at" "${packages[@]}" || return 1
    local archive
    for archive in "$at"/*.deb; do
      dpkg -x "$archive" "$at/root" || return 1
    done
    rm -f "$at"/*.deb
    rm -rf "$at/lists" "$at/cache"
    echo "$debian_version" >"$at/done"
  fi
  # A wrapper, so that only this compiler sees its libraries.
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' \
    "$(libraries "$at/root")" "$rustc" >"$at/rustc"
  chmod +x "$at/rustc"
  echo "$at/rustc"
}

# The directories of the shared libraries that were unpacked.
libraries() {
  find "$1" -name '*.so*' -not -path '*/rustlib/*' -printf '%h\n' | sort -u | paste -sd:
}

# With the machine's package lists; where they are missing or too old, with lists of our own.
fetch_packages() {
  local at=$1 own
  shift
  own=(-o "Dir::State::Lists=$at/lists" -o "Dir::Cache=$at/cache")
  (cd "$at" && apt-get -qq download "$@") >"$at/log" 2>&1 && return
  apt-get -qq "${own[@]}" update >>"$at/log" 2>&1 &&
    (cd "$at" && apt-get -qq "${own[@]}" download "$@") >>"$at/log" 2>&1
}

# The features of a crate that are not WebSocket's.
features() {
  sed -n '/^\[features\]/,/^\[/s/^\([a-z0-9_-]*\) *=.*/\1/p' "$sources/$1/Cargo.toml" |
    grep -vE '^(default|ws|websocket.*)$' | paste -sd, || true
}

check() {
  echo "---- ${*:2} with $(version_of "$1")"
  (cd "$sources" && RUSTC=$1 CARGO_TARGET_DIR=$target cargo check --quiet "$frozen" "${@:2}")
}

# The crates of the old compiler, with the default features and with all others.
check_old() {
  local crate all
  for crate in amqp1-codec amqp1-auth amqp1-engine amqp1-broker amqp1-script amqp1; do
    check "$1" -p "$crate"
    all=$(features "$crate")
    [ -z "$all" ] || check "$1" -p "$crate" --no-default-features --features "$all"
  done
  # Without TLS there are other paths.
  check "$1" -p amqp1 --no-default-features
}

old_rustc=$(of_rustup "$old" || of_debian) || old_rustc=
[ -z "$old_rustc" ] || [[ $(version_of "$old_rustc") == "$old".* ]] || old_rustc=
[ -z "$fetch" ] || exit 0

if [ -n "$old_rustc" ]; then
  check_old "$old_rustc"
else
  left_out "Rust $old is neither with rustup nor among Debian's packages here: its crates were not checked with it."
  [ -z "$packed" ] || check_old "$(command -v rustc)"
fi

# A newer compiler than what is promised proves less, so it says so.
rustc=$(of_rustup "$rest" || command -v rustc) || rustc=
found=$([ -z "$rustc" ] || version_of "$rustc")
if [ -n "$found" ] && [ "$(printf '%s\n' "$rest" "$found" | sort -V | head -n1)" = "$rest" ]; then
  # If it is the compiler of everything else, it finds the dependencies checked.
  [ "$("$rustc" -vV)" != "$(rustc -vV 2>/dev/null)" ] || target=${target%/msrv}
  # Each alone, so that none has a dependency's feature only because another one wants it.
  for crate in iothub iothub-emulator iothub-cli; do
    check "$rustc" -p "$crate"
  done
  [[ $found == "$rest".* ]] || left_out "Rust $rest is not here: the rest was checked with $found only."
else
  left_out "Rust $rest is not here: the rest was not checked."
  [ -z "$packed" ] || exit 1
fi
