//go:build race

package query

// The race detector makes everything some ten times slower: fewer rounds show
// it what it looks for.
const thorough = false
