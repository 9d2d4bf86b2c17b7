#!/bin/sh
# What the suite calls. QIT_SHIM is the program that `cargo build --release -p amqp1-qit-shim` made.
exec "${QIT_SHIM:-qit-shim}" "$@"
