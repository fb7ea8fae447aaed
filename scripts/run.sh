#!/usr/bin/env bash
# Starts the collector on its embedded store and says where to send and look.
set -euo pipefail
cd "$(dirname "$0")/.."

export SCOPE_DATA="${SCOPE_DATA:-./data}"
# The Go heap's soft bound; with what lies outside of it the process stays
# below 500 MB under load.
export GOMEMLIMIT="${GOMEMLIMIT:-400MiB}"
bin/otelcol-scope --config "${CONFIG:-collector-config.yaml}" &
collector=$!
trap 'kill -TERM "$collector" 2>/dev/null || true' INT TERM

answers() { (exec 3<>"/dev/tcp/localhost/$1") 2>/dev/null; }
for _ in $(seq 300); do
  kill -0 "$collector" 2>/dev/null || break
  if answers 4319 && answers 4320; then
    cat <<BANNER

  Scope is running.  Data: $SCOPE_DATA   Stop: Ctrl-C
    send OTLP             grpc localhost:4317, http://localhost:4318
    send native events    POST http://localhost:4319/v1/events
    look                  http://localhost:4320/
    try                   make demo      (in another terminal)

BANNER
    break
  fi
  sleep 0.1
done

# The first wait ends when a signal comes; the second waits for the end.
wait "$collector" || wait "$collector"
