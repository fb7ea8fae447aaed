// Package correlateprocessor is the processor correlate: it has its place in
// the pipeline, between receiver and pressure, and its configuration. In this
// version it finds no causes yet: it checks its configuration and hands every
// batch on, unchanged and uncopied, with whatever the next consumer answers.
package correlateprocessor

//go:generate mdatagen metadata.yaml
