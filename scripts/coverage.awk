#!/usr/bin/awk -f
# Coverage by package from a Go cover profile. A block that several test
# binaries report counts as covered when any of them ran it.
/^mode:/ { next }
{
  split($1, at, ":")
  statements[$1] = $2
  if ($3 > 0) hit[$1] = 1
}
END {
  for (block in statements) {
    split(block, at, ":"); package = at[1]; sub(/\/[^\/]*$/, "", package)
    sub(/^github.com\/otelscope\/otelscope\//, "", package)
    all[package] += statements[block]; total += statements[block]
    if (block in hit) { covered[package] += statements[block]; sum += statements[block] }
  }
  order = "sort"
  for (package in all) printf "  %5.1f %%  %s\n", 100 * covered[package] / all[package], package | order " -k3"
  close(order " -k3")
  if (total) printf "  %5.1f %%  total\n", 100 * sum / total
}
