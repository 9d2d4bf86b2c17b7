#!/usr/bin/env bash
# Runs fuzz targets for a while each, from their seed corpora, and says how many inputs were tried.
#
#   fuzz/run.sh SECONDS [TARGET...]    all targets if none is named
#   fuzz/run.sh 0                      only builds them
#
# As many run at the same time as there are cores, or AMQP1_FUZZ_JOBS. Needs cargo-fuzz and a nightly toolchain. What is
# found on the way is kept in target/fuzz/corpus, what fails in target/fuzz/failures. No sanitizer: there is no unsafe
# code here, and without one five times as much is tried.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | tail -n +2)
jobs=${AMQP1_FUZZ_JOBS:-$(nproc)}
out=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
mkdir -p "$out/failures"

# fuzz COMMAND [TARGET [ARGUMENT...]]
fuzz() {
  (cd fuzz && cargo +nightly fuzz "$1" --sanitizer none --target-dir "$out/build" "${@:2}")
}

# Runs a target. What it prints stays together, as others run at the same time.
run() {
  local target=$1 log=$out/$1.log result=0
  mkdir -p "$out/corpus/$target"
  fuzz run "$target" "$out/corpus/$target" "corpus/$target" -- -max_total_time="$seconds" -max_len=8192 -timeout=5 \
    -rss_limit_mb=1024 -artifact_prefix="$out/failures/$target-" -print_final_stats=1 >"$log" 2>&1 || result=1
  exec 9>"$out/lock"
  flock 9
  if [ $result = 0 ]; then
    printf '%-24s %12s executions in %s s, nothing found\n' "$target" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$seconds"
  else
    tail -n 40 "$log"
    printf '%-24s FAILED; the input is in target/fuzz/failures\n' "$target"
  fi
  return $result
}

# All at once, unless only one is wanted.
if ! fuzz build $([ $# -gt 1 ] || echo "$1") >"$out/build.log" 2>&1; then
  cat "$out/build.log"
  exit 1
fi
[ "$seconds" != 0 ] || exit 0
export seconds out
export -f fuzz run
printf '%s\n' "$@" | xargs -P "$jobs" -I{} bash -c 'set -euo pipefail; run "$1"' fuzz/run.sh {}
