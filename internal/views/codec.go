package views

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/otelscope/otelscope/internal/causal"
)

const (
	formatVersion = 1
	// maxDecoded bounds a summary's JSON; full tables take less.
	maxDecoded = 64 << 20
	// compressWindow is how far back the compressor looks, which is what it
	// holds on to in memory.
	compressWindow = 256 << 10
)

// Both may be used from many goroutines. The options are valid, which is all
// that could fail.
var (
	compressor, _   = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(compressWindow), zstd.WithLowerEncoderMem(true))
	decompressor, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded))
)

// summaryJSON is a summary as it is kept; docs/format/summary.md shows it.
type summaryJSON struct {
	Version        int                                `json:"version"`
	Missing        uint64                             `json:"missing"`
	Services       tableJSON[ServiceKey, Service]     `json:"services"`
	Edges          tableJSON[EdgeKey, Edge]           `json:"edges"`
	Operations     tableJSON[OperationKey, Operation] `json:"operations"`
	Failures       tableJSON[FailureKey, Failure]     `json:"failures"`
	Leads          tableJSON[LeadKey, Lead]           `json:"leads"`
	Processes      tableJSON[ProcessKey, Process]     `json:"processes"`
	Pending        []pendingJSON                      `json:"pending"`
	PendingOmitted uint64                             `json:"pending_omitted"`
}

type tableJSON[K, R any] struct {
	Omitted uint64        `json:"omitted"`
	Rows    []entry[K, R] `json:"rows"`
}

type pendingJSON struct {
	Missing Ref     `json:"missing"`
	Told    mask    `json:"told"`
	Effect  bool    `json:"effect"`
	Teller  endJSON `json:"teller"`
}

type endJSON struct {
	Ref     Ref    `json:"ref"`
	Start   uint64 `json:"start"`
	Failed  bool   `json:"failed"`
	Service string `json:"service"`
	Node    string `json:"node,omitempty"`
	Process string `json:"process,omitempty"`
	Name    string `json:"name"`
	Error   string `json:"error,omitempty"`
}

// Ref is a causal.SpanRef whose text is its ids in hexadecimal.
type Ref causal.SpanRef

// MarshalText never fails.
func (r Ref) MarshalText() ([]byte, error) {
	return hex.AppendEncode(hex.AppendEncode(nil, r.TraceID[:]), r.SpanID[:]), nil
}

// UnmarshalText reads what MarshalText made.
func (r *Ref) UnmarshalText(text []byte) error {
	var ids [24]byte
	if len(text) != 2*len(ids) {
		return fmt.Errorf("a span has ids of %d digits, not of %d", len(text), 2*len(ids))
	}
	if _, err := hex.Decode(ids[:], text); err != nil {
		return err
	}
	copy(r.TraceID[:], ids[:16])
	copy(r.SpanID[:], ids[16:])
	return nil
}

func (t *table[K, R, P]) encoded() tableJSON[K, R] { return tableJSON[K, R]{t.omitted, t.sorted()} }

func (t *table[K, R, P]) decode(from tableJSON[K, R]) error {
	t.omitted = from.Omitted
	for i := range from.Rows {
		e := &from.Rows[i]
		if _, twice := t.rows[e.Key]; twice {
			return fmt.Errorf("row %v is there twice", e.Key)
		}
		t.rows[e.Key] = &e.Row
	}
	t.trim()
	return nil
}

// Encode returns the summary as bytes, the same ones for the same summary.
func (s *Summary) Encode() ([]byte, error) {
	wire := summaryJSON{
		Version:        formatVersion,
		Missing:        s.Missing,
		Services:       s.Services.encoded(),
		Edges:          s.Edges.encoded(),
		Operations:     s.Operations.encoded(),
		Failures:       s.Failures.encoded(),
		Leads:          s.Leads.encoded(),
		Processes:      s.Processes.encoded(),
		Pending:        make([]pendingJSON, 0, len(s.Pending)),
		PendingOmitted: s.PendingOmitted,
	}
	for _, p := range s.Pending {
		t := p.Teller
		wire.Pending = append(wire.Pending, pendingJSON{Ref(p.Missing), p.Told, p.Effect, endJSON{
			Ref(t.Ref), t.Start, t.Failed, t.Service, t.Node, t.Process, t.Name, t.Error,
		}})
	}
	data, err := json.Marshal(wire)
	if err != nil {
		return nil, err
	}
	return compressor.EncodeAll(data, nil), nil
}

// Decode reads what Encode made.
func Decode(b []byte) (*Summary, error) {
	data, err := decompressor.DecodeAll(b, nil)
	if err != nil {
		return nil, fmt.Errorf("summary of views: %w", err)
	}
	s, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("summary of views: %w", err)
	}
	return s, nil
}

func decode(data []byte) (*Summary, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	if version.Version != formatVersion {
		return nil, fmt.Errorf("it has format version %d, this program reads version %d", version.Version, formatVersion)
	}
	var wire summaryJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return nil, err
	}
	s := NewSummary()
	err := errors.Join(
		s.Services.decode(wire.Services),
		s.Edges.decode(wire.Edges),
		s.Operations.decode(wire.Operations),
		s.Failures.decode(wire.Failures),
		s.Leads.decode(wire.Leads),
		s.Processes.decode(wire.Processes),
	)
	if err != nil {
		return nil, err
	}
	var pending []Pending
	for _, p := range wire.Pending {
		t := p.Teller
		pending = append(pending, Pending{causal.SpanRef(p.Missing), End{
			causal.SpanRef(t.Ref), t.Start, t.Failed, t.Service, t.Node, t.Process, t.Name, t.Error,
		}, p.Effect, p.Told})
	}
	s.Missing, s.PendingOmitted = wire.Missing, wire.PendingOmitted
	s.await(pending)
	return s, nil
}

// MergeEncoded returns the summary of several parts together; nil stands for
// one of which nothing is known, and what is empty is nothing to add.
func MergeEncoded(summaries [][]byte) (*Summary, error) {
	sum := NewSummary()
	for _, encoded := range summaries {
		switch {
		case encoded == nil:
			sum.Missing++
		case len(encoded) > 0:
			s, err := Decode(encoded)
			if err != nil {
				return nil, err
			}
			sum.Add(s)
		}
	}
	return sum, nil
}
