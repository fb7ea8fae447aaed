// Package scopestoreexporter is the exporter scope_store: it writes batches
// into the store that a scope_query extension owns.
//
// There is no queue between the pipeline and the store. ConsumeTraces returns
// nil when the whole batch is durable, and not before; so whoever sent it can
// be told "stored". The store copies what it keeps, and the exporter does not
// change the data.
//
// What an error means: invalid data is permanent; everything else (no space, a
// failing disk, a full log, a store that is closing) is tried again for as
// long as retry_on_failure says, not sooner than the store asks for, and then
// handed back to the caller, to whom it is still not permanent.
package scopestoreexporter

//go:generate mdatagen metadata.yaml
