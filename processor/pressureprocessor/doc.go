// Package pressureprocessor is the processor pressure. It stands behind
// correlate, sheds whole causal chains when the collector gets more than it can
// take, and stops trying where the next consumer fails.
//
// The cores are elsewhere: internal/pressure says how hard-pressed the collector
// is, internal/sample which chains are kept. Here are spans, goroutines, logs
// and metrics.
//
// # A batch
//
// While nothing is shed a batch only passes the breaker. Otherwise (shed.go):
// each span's number, threshold and keep conditions are read; the sampler
// decides; what is not kept is taken out of the batch; what is held of chains
// that must be kept is added. Then the batch goes on, and only when the next
// consumer has taken it is anything counted, put into the rescue or let go from
// it: a batch that fails is the caller's, who sends it again, and it is decided
// again, alike.
//
// # Who owns what
//
// The batch is the processor's until the next consumer is called. What was
// taken out of it is in ptrace.Traces of the processor's own.
//
// One goroutine (control.go) steps the monitor where it is the processor's own,
// gives up calls that hang, turns pressure into ratios, and reports changes of
// level. It alone begins and ends shedding.
package pressureprocessor

//go:generate mdatagen metadata.yaml
