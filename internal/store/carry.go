package store

import (
	"bytes"
	"fmt"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/head"
)

// carryFrame is about how many bytes of open calls go into one log frame.
const carryFrame = 1 << 20

// carryBatches encodes open calls, which come in the order of arrival, as
// batches to be inserted anew. A batch has one arrival.
func carryBatches(open []head.Span) ([]*entry, error) {
	var out []*entry
	for len(open) > 0 {
		n, size := 1, len(open[0].Bytes)
		for n < len(open) && open[n].Received == open[0].Received && size < carryFrame {
			size += len(open[n].Bytes)
			n++
		}
		payload, err := encodeRuns(open[:n])
		if err != nil {
			return nil, err
		}
		batch, err := head.Parse(payload, n)
		if err != nil {
			return nil, fmt.Errorf("stored span: %w", err)
		}
		out = append(out, &entry{batch: batch, kind: frameCarry, received: open[0].Received, done: make(chan error, 1)})
		open = open[n:]
	}
	return out, nil
}

// encodeRuns encodes spans as TracesData; neighbours of one origin share it.
func encodeRuns(spans []head.Span) (payload []byte, err error) {
	var run [][]byte
	for i, s := range spans {
		run = append(run, s.Bytes)
		if i+1 < len(spans) && bytes.Equal(spans[i+1].Origin, s.Origin) {
			continue
		}
		if payload, err = otlpwire.AppendTraces(payload, s.Origin, run...); err != nil {
			return nil, fmt.Errorf("stored span: %w", err)
		}
		run = run[:0]
	}
	return payload, nil
}

// carryOver writes open calls to the log's newest segment and into the live
// head, by way of the committer, and waits until they are durable.
func (e *engine) carryOver(open []head.Span) error {
	entries, err := carryBatches(open)
	if err != nil {
		return err
	}
	for _, en := range entries {
		if _, err := e.in.tryPut(en); err != nil {
			return err
		}
	}
	for _, en := range entries {
		select {
		case err := <-en.done:
			if err != nil {
				return err
			}
			e.figures.carried.Add(int64(en.batch.Len()))
		case <-e.committerGone:
			return errStopped
		}
	}
	return nil
}
