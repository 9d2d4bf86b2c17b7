#!/usr/bin/env bash
# Proves on the host that the codec, auth, engine and broker crates need no std: a no_std static library with a panic
# handler of its own links them, a C program links that library and runs it, and a dependency that pulled std in
# would be noticed, because the same build with std pulled in on purpose fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
target=${CARGO_TARGET_DIR:-$PWD/target}/no-std

cargo build --quiet --release --target-dir "$target"
cc -Wall -Werror -O1 -o "$target/main" main.c "$target/release/libamqp1_no_std.a"
timeout 60 "$target/main"

if cargo build --quiet --release --target-dir "$target" --features std-on-purpose 2>"$target/std-on-purpose.log"; then
  echo 'the build with std pulled in passed: this check would notice nothing' >&2
  exit 1
fi
grep -q 'panic_impl' "$target/std-on-purpose.log" || {
  echo 'the build with std pulled in failed for another reason:' >&2
  cat "$target/std-on-purpose.log" >&2
  exit 1
}
echo 'with std pulled in on purpose the build fails, as it must'
