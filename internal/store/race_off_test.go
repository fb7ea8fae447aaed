//go:build !race

package store_test

const thorough = true
