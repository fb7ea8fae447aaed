#!/usr/bin/env bash
# Formatting, vet and staticcheck.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  echo "gofmt -w these:"; echo "$unformatted"; exit 1
fi
echo "vet"; go vet ./...
echo "staticcheck"; go build -C internal/tools -o ../../bin/tools/ honnef.co/go/tools/cmd/staticcheck
bin/tools/staticcheck ./...
