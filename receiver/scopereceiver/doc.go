// Package scopereceiver takes native runtime events and OTLP traces, and hands
// both down the pipeline as spans.
//
// # The way of a request
//
// A server reads and decodes a request and pushes it into the ring
// (internal/ring), split by the partition of each event's process. Workers
// take batches out of the ring, turn events into spans (internal/assemble; one
// assembler a partition, used only by the worker that has claimed it), add the
// OTLP spans of the batch and call the next consumer once.
//
//   - It took them: the assemblers commit, and the batch's requests are
//     answered.
//   - It refused for now: the assemblers roll back; the clients are told to
//     come again, and what was taken by then is recognised. What clients take
//     for delivered (acknowledge: buffered) the worker keeps and tries again.
//   - It refused for good, or something panicked: the assemblers roll back,
//     and the batch is halved until the event or span that is to blame stands
//     alone. That one becomes a durable dead letter; all else goes its way.
//
// # Ownership
//
// Decoded events and OTLP contents belong to the ring from Push on, and to a
// worker between Take and Release. Spans belong to the next consumer from
// ConsumeTraces on, whatever it returns: a second try decodes or assembles
// them anew from what the ring holds. An OTLP request that the servers decoded
// is emptied by moving its contents out, so that they may recycle it while the
// ring still works on it.
//
// # Levers and pressure
//
// The bounds in force belong to the pool, under its lock; configuration is only
// where they begin. relief is the one place where the shared monitor's state
// reaches the ring.
//
// # Order of start and end
//
// Start: dead letters open, state is rebuilt from the store, workers run, and
// only then do servers listen. Shutdown: the ring refuses what is new; what is
// under way may finish until the deadline, paused or not; then its clients are
// told to come again, and what has none is counted as lost; servers stop,
// workers end, dead letters close.
package scopereceiver
