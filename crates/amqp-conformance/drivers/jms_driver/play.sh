#!/usr/bin/env bash
# Plays a scenario in the virtual machine of `JmsDriver --serve`: play.sh PORT URL ADDRESS SCENARIO COUNT.
exec 3<>"/dev/tcp/127.0.0.1/$1"
echo "${@:2}" >&3
read -r status <&3
exit "$status"
