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

# The codec, auth and engine without std
no-std:
    .ci/run no_std
