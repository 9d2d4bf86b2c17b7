# The stages of .ci/run, as functions. Sourced by .ci/stage, in the repository's folder.
#
# Each installs what it needs where that is missing, so it can be run alone. In a whole run the lane `network` has
# installed that before.

export CI=true CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
# Without lines for backtraces, compiling takes a quarter less time and a third less room.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_RELEASE_DEBUG=0
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools_dir=${AMQP1_CI_TOOLS:-$PWD/target/ci-tools}
# Not within a package: cargo lists a package's files, and what is installed there changes while it does.
export AMQP1_INTEROP_CACHE=${AMQP1_INTEROP_CACHE:-$PWD/target/interop}
PATH=$tools_dir/bin:$PATH
cargo_deny_version=0.20.2
cargo_fuzz_version=0.13.2
# How long each fuzz target runs, in seconds, how many lists of operations the simulation runs, and how many inputs the
# differential run compares.
fuzz_seconds=${AMQP1_CI_FUZZ_SECONDS:-60}
seeds=${AMQP1_CI_SEEDS:-100000}
differential_inputs=${AMQP1_CI_DIFFERENTIAL_INPUTS:-100000}

# The room that a whole run takes, in mebibytes.
room=6500

# All programs that stages run, and the interop tests, are built with the same packages selected, whichever of them is
# wanted. Otherwise each selection has its own features of tokio and others, and most crates are built once for each.
programs=(--release --locked --features amqp1-tests/interop
  -p amqp-conformance -p iothub-cli -p amqp1-attacks -p amqp1-testkit -p amqp1-differential -p amqp1-tests)

# Builds a program of these, and runs it.
program() {
  cargo build --quiet "${programs[@]}" --bin "$1"
  "$target/release/$1" "${@:2}"
}

# Builds the example that foreign clients connect to. Its tokio has one feature more, so this is another selection.
broker() {
  cargo build "${programs[@]}" -p amqp1 --example broker
}

# Installs a command of cargo's if it is missing: from a package of Python's in seconds, or built in minutes.
cargo_command() {
  local name=$1 version=$2
  if ! command -v "$name" >/dev/null; then
    [ -x "$tools_dir/bin/pip" ] || python3 -m venv "$tools_dir" || true
    "$tools_dir/bin/pip" install -q --disable-pip-version-check "astral-dev-toolchain-$name==$version" ||
      cargo install --quiet --locked --root "$tools_dir" --version "$version" "$name"
  fi
}

# Installs a package of Debian's if what it brings is missing.
debian_package() {
  local package=$1 there=$2
  ! eval "$there" >/dev/null 2>&1 || return 0
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get install -y -q "$package" >/dev/null 2>&1 ||
    { "${as_root[@]}" apt-get update -q >/dev/null && "${as_root[@]}" apt-get install -y -q "$package" >/dev/null; }
}

need_valgrind() {
  debian_package valgrind 'type -P valgrind'
}

need_qpid_proton() {
  debian_package libqpid-proton11-dev 'echo "#include <proton/codec.h>" | cc -E -'
}

# What the front lane's stages need from the network.
stage_downloads() {
  cargo_command cargo-deny "$cargo_deny_version"
  cargo_command cargo-fuzz "$cargo_fuzz_version"
  need_valgrind
  need_qpid_proton
  .ci/msrv.sh --fetch
}

# Programs in Python that the stage `seed` runs.
stage_python() {
  tests/interop/setup.sh python
}

# All programs that the interop tests run.
stage_peers() {
  tests/interop/setup.sh
}

stage_tools() {
  local free
  free=$(df -Pm . | awk 'NR == 2 { print $4 }')
  echo "$free MiB are free here"
  [ "$free" -ge "$room" ] || echo "a whole run takes up to $room MiB: this may be too little" >&2
  cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
  cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
  cargo --version
  command -v cc >/dev/null || { echo 'a C compiler is needed (cc)' >&2; return 1; }
}

stage_format() {
  cargo fmt --all -- --check
  cargo fmt --manifest-path tests/no-std/Cargo.toml -- --check
  cargo fmt --manifest-path fuzz/Cargo.toml -- --check
}

stage_clippy() {
  cargo clippy --workspace --all-targets --locked -- -D warnings
  cargo clippy -p amqp1-codec --all-targets --all-features --locked -- -D warnings
  # Without HTTPS.
  cargo clippy -p iothub --no-default-features --lib --locked -- -D warnings
}

stage_docs() {
  RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features --locked
}

# The README's test command, and what only a feature brings. The stage `requirements` reads what ran.
stage_test() {
  rm -f "$target"/tests.{log,json}
  local serde=(-p amqp1-codec --features json,std --lib --test serde --test serde_corpus)
  local features=(-p amqp1 --features metrics,serde --test observing --test own_types)
  cargo test --workspace 2>&1 | tee "$target/tests.log"
  cargo test "${serde[@]}" 2>&1 | tee -a "$target/tests.log"
  cargo test "${features[@]}" 2>&1 | tee -a "$target/tests.log"
  cargo test --quiet --workspace --no-run --message-format=json >"$target/tests.json"
  cargo test --quiet "${serde[@]}" --no-run --message-format=json >>"$target/tests.json"
  cargo test -p amqp1-codec --features json,std --doc
}

# What the stages after it run, with optimization.
stage_programs() {
  cargo build "${programs[@]}" --bins --test interop
  broker
}

# Our stack in both roles, judged by amqp-conformance.
stage_own_stack() {
  debian_package openssl 'type -P openssl'
  cargo build --quiet --locked --workspace --bins --examples
  timeout 1200 .ci/own_stack.sh "$target/debug"
}

# REQUIREMENTS.md is made from what ran: the stage `own_stack` has given the committed verdicts, and the tests that the
# table names have passed in the stage `test`.
stage_requirements() {
  cargo build --quiet --locked --workspace --bins --examples
  "$target/debug/amqp1-requirements" judged --check "$target/debug/own_stack"
  "$target/debug/amqp1-requirements" ran "$target/tests.json" "$target/tests.log"
}

# amqp-conformance, judged by wrong peers: each case is passed by a right peer and failed by a wrong one.
stage_matrix() {
  cargo build --quiet --locked --workspace --bins --examples
  timeout 600 .ci/own_stack.sh "$target/debug" matrix
}

# Lists of operations on two engines against the reference model, by the hundred thousand, and links over several
# connections; and whether the lists find bugs that are planted on purpose.
stage_simulation() {
  program seeds --from 0 --count "$seeds"
  program seeds --lives --from 0 --count $((seeds / 4))
  program seeds --count 10000 --check crates/amqp1-testkit/wire/operations.txt
  program seeds --lives --count 10000 --check crates/amqp1-testkit/wire/lives.txt
  # With a wrapper instead of flags, the dependencies are those of the stage `test`.
  RUSTC_WORKSPACE_WRAPPER=$PWD/.ci/planted cargo test --locked --workspace --test planted -- --nocapture 2>&1 |
    grep -E '^(error|[A-Z][A-Za-z]+: seed|test )'
}

# Bugs on purpose, of which each must be found by the tests of the rule that it breaks: tests/mutants/README.md.
stage_mutants() {
  cargo build --quiet --locked --workspace --bin amqp1-mutants
  timeout 2400 "$target/debug/amqp1-mutants"
}

stage_no_std() {
  tests/no-std/check.sh
}

# What would be published is whole, and builds with the oldest compilers that are promised.
stage_package() {
  .ci/pack "$target/package-check"
  .ci/msrv.sh --packed "$target/package-check"
}

# Instructions and allocations of the codec's cases have not grown; the benchmarks by time run once each, for which the
# dev profile will do.
stage_instructions() {
  need_valgrind
  python3 benches/performance.py check
  cargo test --quiet --locked --workspace --bench codec --bench engine --bench threads
}

# The codec agrees with an independent one, libqpid-proton, but for what is written down.
stage_differential() {
  need_qpid_proton
  program amqp1-differential --inputs "$differential_inputs" --require
  program amqp1-differential --messages --inputs "$differential_inputs" --require
}

stage_deny() {
  cargo_command cargo-deny "$cargo_deny_version"
  cargo deny check --hide-inclusion-graph bans licenses sources
}

# The program that the README's demo command runs.
stage_demo() {
  cargo build "${programs[@]}" --bin iothub
  timeout 300 "$target/release/iothub" demo
}

# Hostile peers against server processes: peak memory, and the slowest answer of a second client.
stage_attacks() {
  cargo build "${programs[@]}" --bin iothub --bin amqp1-attacks
  ulimit -n "$(ulimit -Hn)" || true
  timeout 120 "$target/release/amqp1-attacks"
}

stage_fuzz_build() {
  cargo_command cargo-fuzz "$cargo_fuzz_version"
  fuzz/run.sh 0
}

# Each fuzz target for a while; that their seed corpora hold is among the tests.
stage_fuzz() {
  cargo_command cargo-fuzz "$cargo_fuzz_version"
  fuzz/run.sh "$fuzz_seconds"
}

# The codec under an interpreter that finds what the language does not define; without the tests that need hours there.
stage_miri() {
  if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo 'Miri is not installed (rustup +nightly component add miri): this stage does nothing here'
    return
  fi
  MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test -p amqp1-codec --target-dir target/miri \
    --lib --test zero_copy --test display --test specification -- --skip steps::counting
}

# Our client, our acceptor and the emulator with programs that were not written here.
stage_interop() {
  tests/interop/setup.sh
  broker
  cargo build "${programs[@]}" --bin iothub
  AMQP1_BROKER=$target/release/examples/broker timeout 1800 \
    cargo test "${programs[@]}" --test interop -- --nocapture --test-threads=1
}

# Servers and clients that were not written here, judged by amqp-conformance. The page is kept, and what a profile does
# not expect is shown.
stage_conformance() {
  tests/interop/setup.sh
  cargo build "${programs[@]}" --bin amqp-conformance
  timeout 2400 python3 tests/interop/conformance.py "$target/conformance" --tool "$target/release/amqp-conformance" \
    --at-once 6 --once --show
}

# uamqp with `iothub emulator`: what Microsoft's article shows.
stage_seed() {
  tests/interop/setup.sh python
  cargo build "${programs[@]}" --bin iothub
  IOTHUB_BIN=$target/release/iothub timeout 300 python3 tests/interop/seed/run_seed.py
}
