#!/usr/bin/env bash
# Runs the shop under the tracer against a Scope that runs already (make run)
# and says where to look. `run.sh load` measures what the tracer costs.
set -euo pipefail
cd "$(dirname "$0")"
export SCOPE_EVENTS="${SCOPE_EVENTS:-http://localhost:4319}"
api="${SCOPE_API:-http://localhost:4320}/api/v1"

command -v erlc >/dev/null || { echo "erl is missing: apt-get install -y erlang-base" >&2; exit 1; }
curl -sf -o /dev/null "$api/status" || { echo "Scope does not answer at $api: make run" >&2; exit 1; }

ebin=$(mktemp -d)
trap 'rm -rf "$ebin"' EXIT
erlc -o "$ebin" src/*.erl shop/*.erl
cp shop/shop.app "$ebin"

if [ "${1:-}" = load ]; then
  erl -noshell -pa "$ebin" -s shop_load run
  exit
fi
started=$(date +%s%N)
erl -noshell -pa "$ebin" -s shop_demo run

# The answer to the last order: an event that ends with t is a reply that a
# call took.
answer=$(curl -sf "$api/edges?types=message_flow&start=$started" | grep -o '"event_id":"[0-9a-z]*-[0-9]*t"' | sort -t- -k2n | tail -1 | cut -d'"' -f4)
cat <<MORE

How order-2 came to its answer, from the order to the crash to the restart to the answer:
  $api/graph?event=$answer&direction=causes&format=svg
  $api/events/$answer/chain?direction=causes
All failures: ${api%/api/v1}/
MORE
