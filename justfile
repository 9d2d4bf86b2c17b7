# The same commands as in README.md and .ci/run, under short names: `just`, `just test`, …

# What there is
default:
    @just --list

# All tests
test:
    cargo test --workspace

# What CI checks of the sources alone
check:
    .ci/run format clippy docs

# Everything that CI runs
ci:
    .ci/run

# The demonstration: a hub, a service and devices in one process
demo *ARGS:
    cargo run --release -p iothub-cli -- demo {{ARGS}}

# Writes REQUIREMENTS.md; `just requirements --open` lists what no test shows
requirements *ARGS:
    cargo run -q -p amqp1-requirements -- {{ARGS}}

# Third-party clients and servers against ours
interop:
    .ci/run interop seed

# The third-party programs against each other, without ours
peers:
    tests/interop/setup.sh
    python3 tests/interop/self_check.py

# Servers and clients that were not written here, judged by amqp-conformance; the page is in target/conformance
conformance:
    tests/interop/setup.sh
    cargo build --release -p amqp-conformance
    python3 tests/interop/conformance.py target/conformance --at-once 4 --show --tool target/release/amqp-conformance

# Our stack judged by amqp-conformance, and each of its cases by wrong peers
own-stack:
    .ci/run own_stack matrix

# The codec, auth, engine and broker without std
no-std:
    .ci/run no_std
