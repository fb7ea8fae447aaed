#!/usr/bin/env bash
# Writes what is generated: the distribution's main package from
# builder-config.yaml, and each component's metadata.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "building the generators"
go build -C internal/tools -o ../../bin/tools/ tool

echo "ocb: cmd/otelcol-scope"
bin/tools/builder --config builder-config.yaml --skip-get-modules --skip-compilation
go mod tidy -C cmd/otelcol-scope

echo "buf: proto"
(cd proto && PATH="$PWD/../bin/tools:$PATH" && buf lint && buf generate)

for metadata in */*/metadata.yaml; do
  echo "mdatagen: $metadata"
  (cd "$(dirname "$metadata")" && ../../bin/tools/mdatagen metadata.yaml)
done
gofmt -w cmd/otelcol-scope
