// Package traceql reads TraceQL, the query language that Grafana Tempo
// published, with operators for causality added: lexer, parser, syntax tree,
// and the tree's canonical text. It knows nothing of spans or stores.
//
// What is understood, and what the causal operators mean, is docs/query.md;
// testdata/examples.txt has an example of everything, valid and not.
//
// # Ownership
//
// A tree belongs to who parsed it. Nothing in it is changed after Parse, so it
// may be shared by goroutines. Parse keeps nothing of its input but copies.
package traceql
