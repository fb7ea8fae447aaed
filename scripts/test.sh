#!/usr/bin/env bash
# The whole suite with the race detector, then the coverage of our packages.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p coverage
status=0
go test -race -timeout 30m -covermode=atomic -coverpkg="$(IFS=,; echo "$*")" -coverprofile=coverage/raw.out ./... || status=$?

grep -vE '/internal/metadata/|generated_|\.pb\.go:|/cmd/scopegen/main\.go' coverage/raw.out > coverage/ours.out
echo
echo "coverage of our packages (statements):"
scripts/coverage.awk coverage/ours.out
exit "$status"
