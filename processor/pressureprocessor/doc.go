// Package pressureprocessor is the processor pressure: it has its place in the
// pipeline, between correlate and the exporters, and its configuration. In
// this version it sheds nothing yet: it checks its configuration and hands
// every batch on, unchanged and uncopied, with whatever the next consumer
// answers. Overload is met by the scope receiver, which refuses.
package pressureprocessor

//go:generate mdatagen metadata.yaml
