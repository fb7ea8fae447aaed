package scopereceiver

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/deadletter"
	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/hub"
)

// replayer offers the dead letters to the hub.
type replayer struct {
	log  *deadletter.Log
	feed *feed
}

// List is hub.DeadLetters.
func (r *replayer) List(_ context.Context, after string, limit int, payload bool) ([]hub.DeadLetter, bool, error) {
	page, more, err := r.log.List(after, limit, payload)
	letters := make([]hub.DeadLetter, len(page))
	for i, s := range page {
		letters[i] = hub.DeadLetter{
			ID: s.ID, Time: s.Time, Source: s.Source, Format: s.Format, Reason: s.Reason, Bytes: s.Bytes, Payload: s.Payload,
		}
	}
	return letters, more, err
}

// replayPage is how many letters are read at once.
const replayPage = 100

// Replay is hub.DeadLetters. A letter that is refused again stays as it is;
// the answer has the new reason.
func (r *replayer) Replay(ctx context.Context, ids []string) (hub.Replayed, error) {
	done := hub.Replayed{Failed: []hub.ReplayError{}}
	if len(ids) == 0 {
		return done, r.replayAll(ctx, &done)
	}
	for _, id := range ids {
		note(&done, id, r.replayOne(ctx, id))
	}
	return done, nil
}

func (r *replayer) replayOne(ctx context.Context, id string) error {
	letter, ok, err := r.log.Get(id)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("there is no such dead letter")
	}
	return r.replay(ctx, letter)
}

func (r *replayer) replayAll(ctx context.Context, done *hub.Replayed) error {
	after := ""
	for {
		page, more, err := r.log.List(after, replayPage, true)
		if err != nil {
			return err
		}
		for _, letter := range page {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			note(done, letter.ID, r.replay(ctx, letter))
			after = letter.ID
		}
		if !more {
			return nil
		}
	}
}

func note(done *hub.Replayed, id string, err error) {
	if err != nil {
		done.Failed = append(done.Failed, hub.ReplayError{ID: id, Error: err.Error()})
		return
	}
	done.Replayed++
}

// replay sends one letter the way of its like, and removes it when it was
// taken.
func (r *replayer) replay(ctx context.Context, letter deadletter.Stored) error {
	var err error
	switch letter.Format {
	case formatOTLP:
		err = r.replayTraces(ctx, letter.Payload)
	case formatJSON:
		err = r.replayEvents(ctx, event.FormatJSON, letter.Payload)
	case formatProtobuf:
		err = r.replayEvents(ctx, event.FormatProto, letter.Payload)
	default:
		err = fmt.Errorf("format %q is not one of json, protobuf, otlp", letter.Format)
	}
	if err != nil {
		return err
	}
	return r.log.Remove(letter.ID)
}

func (r *replayer) replayTraces(ctx context.Context, wire []byte) error {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
	if err != nil {
		return err
	}
	parts, err := r.feed.splitTraces(td)
	if err != nil {
		return err
	}
	return r.feed.replay(ctx, parts)
}

func (r *replayer) replayEvents(ctx context.Context, format event.Format, body []byte) error {
	result, err := event.Decode(format, body, idSource())
	if err != nil {
		return err
	}
	if len(result.Rejected) > 0 {
		return result.Rejected[0].Err
	}
	for i := range result.Events {
		// It is remembered as refused; as one that no sender repeats it is
		// taken all the same.
		result.Events[i].Assigned = true
	}
	return r.feed.replay(ctx, r.feed.split(result.Events, int64(len(body))))
}
