#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME, one after another.
set -euo pipefail
cd "$(dirname "$0")/.."

time="${FUZZTIME:-20s}"
mapfile -t targets < <(grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's#^\./(.*)/[^/]+:[0-9]+:func (Fuzz.*)#\1 \2#' | sort -u)
n=0
for target in "${targets[@]}"; do
  n=$((n + 1))
  read -r folder name <<<"$target"
  echo "[$n/${#targets[@]}] $folder $name ($time)"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 1x "./$folder" | grep -vE '^fuzz: elapsed' 
done
