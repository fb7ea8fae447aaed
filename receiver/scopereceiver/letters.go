package scopereceiver

import (
	"errors"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/deadletter"
	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/vfs"
)

// Where a dead letter comes from, and what its payload is.
const (
	sourceEvent = "event" // an invalid event
	sourceBatch = "batch" // the pipeline refused it for good
	sourcePanic = "panic" // it made a worker panic

	formatJSON     = "json"     // one native event
	formatProtobuf = "protobuf" // a scope.v1.EventsRequest of one native event
	formatOTLP     = "otlp"     // OTLP protobuf
)

// letters keeps what could not be processed.
type letters struct {
	log    *deadletter.Log
	counts *counts
}

func openLetters(cfg DeadLettersConfig, c *counts) (*letters, error) {
	log, err := deadletter.Open(vfs.OS, cfg.Directory, int64(cfg.MaxBytes), time.Now)
	if err != nil {
		return nil, err
	}
	return &letters{log, c}, nil
}

func (l *letters) close()                  { _ = l.log.Close() }
func (l *letters) stats() deadletter.Stats { return l.log.Stats() }

// reject keeps invalid events; they are durable when it returns nil.
func (l *letters) reject(format event.Format, rejected []event.Rejection) error {
	batch := make([]deadletter.Letter, len(rejected))
	for i, r := range rejected {
		batch[i] = deadletter.Letter{Source: sourceEvent, Format: formatJSON, Reason: r.Err.Error(), Payload: r.Raw}
		if format == event.FormatProto {
			batch[i].Format = formatProtobuf
		}
	}
	return l.add(sourceEvent, batch)
}

// bury keeps pieces that can never be handed on, because of cause; they are
// durable when it returns nil.
func (l *letters) bury(pieces []piece, cause error) error {
	source := sourceBatch
	var p *panicError
	if errors.As(cause, &p) {
		source = sourcePanic
	}
	letter := deadletter.Letter{Source: source, Reason: cause.Error()}
	var batch []deadletter.Letter
	for _, p := range pieces {
		w := &p.entry.Work
		if w.wire == nil {
			for i := p.from; i < p.to && i < len(w.events); i++ {
				letter.Format, letter.Payload = formatJSON, w.events[i].AppendJSON(nil)
				batch = append(batch, letter)
			}
			continue
		}
		payload, err := encodeSpans(p)
		if err != nil {
			return err
		}
		letter.Format, letter.Payload = formatOTLP, payload
		batch = append(batch, letter)
	}
	return l.add(source, batch)
}

func encodeSpans(p piece) ([]byte, error) {
	if p.whole() {
		return p.entry.Work.wire, nil
	}
	td, err := decodeSpans(p.entry.Work.wire, p.from, p.to)
	if err != nil {
		return nil, err
	}
	return (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
}

func (l *letters) add(source string, batch []deadletter.Letter) error {
	if len(batch) == 0 {
		return nil
	}
	if err := l.log.Add(batch...); err != nil {
		return err
	}
	l.counts.letter(source, len(batch))
	return nil
}
