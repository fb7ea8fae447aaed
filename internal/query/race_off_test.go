//go:build !race

package query

const thorough = true
