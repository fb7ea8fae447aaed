package scopereceiver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/assemble"
	"github.com/otelscope/otelscope/internal/deadletter"
	"github.com/otelscope/otelscope/internal/permanent"
	"github.com/otelscope/otelscope/internal/ring"
)

// handler turns batches into spans and hands them down the pipeline. Its
// methods run on workers, side by side for batches that share no partition.
type handler struct {
	next       consumer.Traces
	partitions []partition // by ring partition
	version    string
	letters    *letters
	logger     *zap.Logger // rate-limited
	measure    func(items int, took time.Duration)
	lost       func(items int)
}

// partition is the state of a ring partition. The assembler belongs to the
// worker that has claimed it.
type partition struct {
	assembler *assemble.Assembler
	stats     atomic.Pointer[assemble.Stats] // what the assembler said last
}

// piece is a part of an entry: its events or spans [from, to).
type piece struct {
	entry    *ring.Entry[work]
	from, to int
}

func (p piece) whole() bool { return p.from == 0 && p.to == p.entry.Items }

// maxCulprits is how many events or spans in a row are looked at one by one
// when each of them is refused for good. Then the rest of the batch counts as
// refused, too: what refuses everything is not a matter of single events.
const maxCulprits = 256

// settling is one batch on its way to an answer.
type settling struct {
	*handler
	ctx      context.Context
	careful  bool // panics are caught and treated as refusals for good
	culprits int  // in a row
}

// handle settles a batch: each entry is completed with nil when all of it has
// been taken downstream or is a durable dead letter. The error is for the
// entries that are not complete; their clients have to come again.
//
// Without careful a panic of the assembly or the pipeline goes through. After a
// panic or an error the batch can be handled again; what is settled is left
// alone.
func (h *handler) handle(ctx context.Context, b *ring.Batch[work], careful bool) error {
	start := time.Now()
	defer func() { h.measure(b.Items, time.Since(start)) }()
	s := &settling{handler: h, ctx: ctx, careful: careful}
	pieces := make([]piece, 0, len(b.Entries))
	for _, e := range b.Entries {
		if !e.Completed() {
			pieces = append(pieces, piece{e, e.Work.settled, e.Items})
		}
	}
	if len(pieces) == 0 {
		return nil
	}
	return s.settle(pieces)
}

// settle tries pieces together. When they are refused for good it halves them,
// in order, until what is refused stands alone and can be buried.
func (s *settling) settle(pieces []piece) error {
	err := s.try(pieces)
	if err == nil {
		s.culprits = 0
		return complete(pieces)
	}
	if !final(err) {
		return err
	}
	if count(pieces) == 1 || s.culprits >= maxCulprits {
		return s.bury(pieces, err)
	}
	first, second := halve(pieces)
	if err := s.settle(first); err != nil {
		return err
	}
	return s.settle(second)
}

// bury makes dead letters of pieces and remembers their events. What came from
// the dead letters stays there, and what is too large for them is lost: in
// both cases the client is told.
func (s *settling) bury(pieces []piece, cause error) error {
	s.culprits += count(pieces)
	s.logger.Warn("Refused for good: kept as a dead letter", zap.Int("items", count(pieces)), zap.String("reason", cut(cause.Error())))
	var lasting []piece
	for _, p := range pieces {
		if p.entry.Work.replay {
			p.entry.Complete(consumererror.NewPermanent(cause))
			continue
		}
		lasting = append(lasting, p)
	}
	if err := s.letters.bury(lasting, cause); errors.Is(err, deadletter.ErrTooLarge) {
		s.giveUp(lasting, errors.Join(cause, err))
		return nil
	} else if err != nil {
		return errors.Join(errLetters, err)
	}
	now := time.Now().UnixNano()
	for _, p := range lasting {
		for i := p.from; i < p.to && i < len(p.entry.Work.events); i++ {
			s.partitions[p.entry.Partition].assembler.Refuse(p.entry.Work.events[i], now)
		}
	}
	return complete(pieces)
}

// giveUp tells the clients of pieces that they are lost, or counts it where the
// clients have their answers.
func (s *settling) giveUp(pieces []piece, cause error) {
	for _, p := range pieces {
		if !p.entry.Work.acknowledged {
			p.entry.Complete(consumererror.NewPermanent(cause))
			continue
		}
		s.lost(p.to - p.from)
		s.logger.Error("Lost", zap.Int("items", p.to-p.from), zap.String("reason", cut(cause.Error())))
		_ = complete([]piece{p})
	}
}

// complete settles pieces, and with its last piece an entry: pieces are settled
// in order.
func complete(pieces []piece) error {
	for _, p := range pieces {
		p.entry.Work.settled = p.to
		if p.to == p.entry.Items {
			p.entry.Complete(nil)
		}
	}
	return nil
}

func count(pieces []piece) int {
	n := 0
	for _, p := range pieces {
		n += p.to - p.from
	}
	return n
}

// halve splits pieces of at least two items into two lists of equal size.
func halve(pieces []piece) (first, second []piece) {
	left := count(pieces) / 2
	for i, p := range pieces {
		n := p.to - p.from
		if n > left {
			if left > 0 {
				first = append(first, piece{p.entry, p.from, p.from + left})
				p.from += left
			}
			second = append(second, p)
			return first, append(second, pieces[i+1:]...)
		}
		first = append(first, p)
		left -= n
	}
	return first, second
}

// panicError is a panic that was caught.
type panicError struct{ text string }

func (e *panicError) Error() string { return "panic: " + e.text }

func panicText(cause any) string { return cut(fmt.Sprint(cause)) }

// cut shortens a text that may quote data.
func cut(text string) string {
	const most = 200
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// final reports whether trying again is pointless.
func final(err error) bool {
	var p *panicError
	return errors.As(err, &p) || permanent.Is(err)
}

// try assembles pieces and hands the spans on. With an error nothing has
// changed: each assembler is as before.
func (s *settling) try(pieces []piece) (err error) {
	if s.careful {
		defer func() {
			if cause := recover(); cause != nil {
				err = &panicError{panicText(cause)}
			}
		}()
	}
	tx := transaction{handler: s.handler, now: time.Now().UnixNano()}
	defer tx.close()
	td, err := tx.assemble(pieces)
	if err != nil {
		return err
	}
	if td.ResourceSpans().Len() > 0 {
		if err := s.next.ConsumeTraces(s.ctx, td); err != nil {
			return err
		}
	}
	tx.commit()
	return nil
}

// transaction is one try of the assemblers of several partitions.
type transaction struct {
	*handler
	now       int64
	open      []int // partitions whose assemblers have begun
	committed bool
}

func (tx *transaction) assemble(pieces []piece) (ptrace.Traces, error) {
	out := assemble.NewOutput(tx.version)
	otlp := ptrace.NewTraces()
	tx.expire(pieces)
	for _, p := range pieces {
		if p.entry.Work.wire == nil {
			tx.add(p, out)
		} else if err := takeTraces(p, otlp); err != nil {
			return otlp, err
		}
	}
	tx.end(out)
	td := out.Traces()
	otlp.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	return td, nil
}

// expire comes first, since it is not for assemblers that have begun.
func (tx *transaction) expire(pieces []piece) {
	for _, p := range pieces {
		if p.entry.Work.expire {
			tx.partitions[p.entry.Partition].assembler.Expire(tx.now)
			tx.note(p.entry.Partition)
		}
	}
}

// add hands a piece's events to their assembler. The pieces of one partition
// follow each other.
func (tx *transaction) add(p piece, out *assemble.Output) {
	if p.entry.Work.expire {
		return
	}
	a := tx.partitions[p.entry.Partition].assembler
	if n := len(tx.open); n == 0 || tx.open[n-1] != p.entry.Partition {
		tx.end(out)
		tx.open = append(tx.open, p.entry.Partition)
		a.Begin()
	}
	for i := p.from; i < p.to; i++ {
		a.Add(p.entry.Work.events[i], tx.now, out)
	}
}

// end ends what the last partition added.
func (tx *transaction) end(out *assemble.Output) {
	if n := len(tx.open); n > 0 {
		tx.partitions[tx.open[n-1]].assembler.End(tx.now, out)
	}
}

func (tx *transaction) commit() {
	tx.committed = true
	for _, p := range tx.open {
		tx.partitions[p].assembler.Commit()
		tx.note(p)
	}
}

func (tx *transaction) note(p int) {
	stats := tx.partitions[p].assembler.Stats()
	tx.partitions[p].stats.Store(&stats)
}

// close undoes what was not committed, also when a panic goes through.
func (tx *transaction) close() {
	if tx.committed {
		return
	}
	for _, p := range tx.open {
		tx.partitions[p].assembler.Rollback()
	}
}

// takeTraces moves a piece's spans into dst: the traces as they came, once, or
// what their encoding says.
func takeTraces(p piece, dst ptrace.Traces) error {
	w := &p.entry.Work
	if w.fresh && p.whole() {
		w.fresh = false
		w.traces.ResourceSpans().MoveAndAppendTo(dst.ResourceSpans())
		return nil
	}
	td, err := decodeSpans(w.wire, p.from, p.to)
	if err != nil {
		return err
	}
	td.ResourceSpans().MoveAndAppendTo(dst.ResourceSpans())
	return nil
}

// decodeSpans decodes the spans [from, to) of an encoded TracesData.
func decodeSpans(wire []byte, from, to int) (ptrace.Traces, error) {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
	if err != nil {
		return td, err
	}
	at := 0
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(ptrace.Span) bool {
				at++
				return at <= from || at > to
			})
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return td, nil
}
