#!/usr/bin/env bash
# Builds bin/otelcol-scope and bin/scopegen. From a cold module cache this
# takes some minutes, so it counts the packages as they come.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh

started=$SECONDS
mkdir -p bin
total=$(go list -C cmd/otelcol-scope -deps . 2> >(count "fetching" 0 >&2) | wc -l)
go build -C cmd/otelcol-scope -v -trimpath -ldflags "-s -w" -o ../../bin/otelcol-scope . 2>&1 | count "building otelcol-scope" "$total"
go build -trimpath -o bin/scopegen ./cmd/scopegen
echo "built bin/otelcol-scope in $((SECONDS - started)) s"
