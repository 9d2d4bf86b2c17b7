#!/usr/bin/env bash
# Runs fuzz targets for a while each, from their seed corpora, and says how many inputs were tried.
#
#   fuzz/run.sh SECONDS [TARGET...]    all targets if none is named
#
# Needs cargo-fuzz and a nightly toolchain. What is found on the way is kept in target/fuzz/corpus, what fails in
# target/fuzz/failures. No sanitizer: there is no unsafe code here, and without one five times as much is tried.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | tail -n +2)
out=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
failed=0
for target in "$@"; do
  mkdir -p "$out/corpus/$target" "$out/failures"
  log=$out/$target.log
  if (cd fuzz && cargo +nightly fuzz run --sanitizer none --target-dir "$out/build" "$target" \
    "$out/corpus/$target" "corpus/$target" -- -max_total_time="$seconds" -max_len=8192 -timeout=5 -rss_limit_mb=1024 \
    -artifact_prefix="$out/failures/$target-" -print_final_stats=1) >"$log" 2>&1; then
    printf '%-24s %12s executions in %s s, nothing found\n' "$target" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$seconds"
  else
    tail -n 40 "$log"
    printf '%-24s FAILED; the input is in target/fuzz/failures\n' "$target"
    failed=1
  fi
done
exit $failed
