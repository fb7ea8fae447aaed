#!/usr/bin/env bash
# Builds the distribution by plain ocb from builder-config.yaml, as anyone
# would who wants other components in it, and asks the binary what it holds.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
go build -C internal/tools -o "$out/" go.opentelemetry.io/collector/cmd/builder
sed "s#output_path: .*#output_path: $out/dist#" builder-config.yaml > "$out/builder-config.yaml"
sed -i "s#path: \.\$#path: $PWD#" "$out/builder-config.yaml"
"$out/builder" --config "$out/builder-config.yaml"
"$out/dist/otelcol-scope" components | grep -E 'name: (scope|correlate|pressure|scope_store|scope_query)$'
