// Package storetest holds every implementation of store.Store to its contract.
//
// Run is the suite: a list of cases, each made of steps (writes and questions)
// that are played several times, with what was written moved elsewhere in
// between: left where it is, cut into blocks, or reopened. An answer must not
// depend on where a span lies.
//
// Model is the contract in its plainest form, in memory and on decoded pdata;
// it passes the same suite, and is what random tests compare with.
//
// Nothing here uses the store's own helpers for OTLP bytes: what is compared
// is decoded by pdata and picked apart by protowire.
package storetest
