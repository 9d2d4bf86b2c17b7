#!/usr/bin/env bash
# Builds the tool as one static program that runs on any Linux of its architecture, and prints where it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS='-C target-feature=+crt-static -C strip=debuginfo' cargo build --release --locked -p amqp-conformance --target "$target"
echo "${CARGO_TARGET_DIR:-target}/$target/release/amqp-conformance"
