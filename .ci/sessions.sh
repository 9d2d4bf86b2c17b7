# Sessions of processes, by the id of the process that leads them. Sourced.

# Sends a signal to the processes of a session. Fails if it has none.
signal_session() {
  local signal=$1 session=$2 file line fields found=1
  for file in /proc/[0-9]*/stat; do
    { read -r line <"$file"; } 2>/dev/null || continue
    # What follows the name in brackets: state, parent, group, session.
    read -ra fields <<<"${line##*) }"
    [ "${fields[3]-}" = "$session" ] && [ "${fields[0]}" != Z ] || continue
    file=${file%/stat}
    kill -s "$signal" "${file#/proc/}" 2>/dev/null && found=0
  done
  return $found
}

# Ends the processes of a session, by force where they have not ended within 20 seconds.
end_session() {
  local _
  signal_session TERM "$1" || return 0
  for _ in {1..100}; do
    sleep 0.2
    signal_session 0 "$1" || return 0
  done
  signal_session KILL "$1" || true
}
