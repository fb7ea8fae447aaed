package views

import (
	"cmp"

	"github.com/otelscope/otelscope/internal/causal"
)

// Other stands in the key of the row for all that a bound leaves out.
const Other = "(other)"

// How many rows of each kind a summary has at most, beside the one for others.
const (
	mostServices   = 1000
	mostEdges      = 5000
	mostOperations = 5000
	mostFailures   = 2000
	mostLeads      = 4000
	mostProcesses  = 10000
	mostPending    = 4096
)

// ServiceKey names a service.
type ServiceKey struct {
	Service string `json:"service"`
}

func (k ServiceKey) compare(o ServiceKey) int { return cmp.Compare(k.Service, o.Service) }
func (ServiceKey) other() ServiceKey          { return ServiceKey{Other} }

// Service counts a service's spans.
type Service struct {
	Spans  uint64 `json:"spans"`
	Errors uint64 `json:"errors,omitempty"`
}

func (s *Service) weight() uint64 { return s.Spans }
func (s *Service) merge(o *Service) {
	s.Spans += o.Spans
	s.Errors += o.Errors
}

// EdgeKey names the edges of a type from spans of one service to spans of
// another, or the same.
type EdgeKey struct {
	Cause  string      `json:"cause"`
	Effect string      `json:"effect"`
	Type   causal.Type `json:"type"`
}

func (k EdgeKey) compare(o EdgeKey) int {
	return cmp.Or(cmp.Compare(k.Cause, o.Cause), cmp.Compare(k.Effect, o.Effect), cmp.Compare(k.Type, o.Type))
}
func (EdgeKey) other() EdgeKey { return EdgeKey{Other, Other, Other} }

// Edge counts edges. Latency is from the cause's start to the effect's, 0
// where the clocks say less.
type Edge struct {
	Count   uint64    `json:"count"`
	Errors  uint64    `json:"errors,omitempty"` // whose effect failed
	Latency Histogram `json:"latency"`
}

func (e *Edge) weight() uint64 { return e.Count }
func (e *Edge) merge(o *Edge) {
	e.Count += o.Count
	e.Errors += o.Errors
	e.Latency.Merge(&o.Latency)
}

// OperationKey names what spans of a service do.
type OperationKey struct {
	Service string `json:"service"`
	Name    string `json:"name"`
	Kind    int32  `json:"kind"` // as OTLP numbers them
}

func (k OperationKey) compare(o OperationKey) int {
	return cmp.Or(cmp.Compare(k.Service, o.Service), cmp.Compare(k.Name, o.Name), cmp.Compare(k.Kind, o.Kind))
}
func (OperationKey) other() OperationKey { return OperationKey{Other, Other, 0} }

// Operation counts spans. First and Last are starts, nanoseconds since the
// epoch.
type Operation struct {
	Count    uint64    `json:"count"`
	Errors   uint64    `json:"errors,omitempty"`
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	Max      uint64    `json:"max"` // the longest duration
	Duration Histogram `json:"duration"`
}

func (o *Operation) weight() uint64 { return o.Count }
func (o *Operation) merge(p *Operation) {
	o.First, o.Last = earlier(o.Count, o.First, p.Count, p.First), max(o.Last, p.Last)
	o.Count += p.Count
	o.Errors += p.Errors
	o.Max = max(o.Max, p.Max)
	o.Duration.Merge(&p.Duration)
}

// Rate returns spans per second between the first and the last start; 0 where
// there is no time between.
func (o *Operation) Rate() float64 {
	if o.Count < 2 || o.Last <= o.First {
		return 0
	}
	return float64(o.Count-1) / (float64(o.Last-o.First) / 1e9)
}

// earlier returns the earlier of two times, of which each counts only if
// there is something that it is the time of.
func earlier(n, a, m, b uint64) uint64 {
	switch {
	case n == 0:
		return b
	case m == 0:
		return a
	}
	return min(a, b)
}

// FailureKey names failures that look alike. Error is the error's type, else
// the status message; it may be empty.
type FailureKey struct {
	Service string `json:"service"`
	Name    string `json:"name"`
	Error   string `json:"error"`
}

func (k FailureKey) compare(o FailureKey) int {
	return cmp.Or(cmp.Compare(k.Service, o.Service), cmp.Compare(k.Name, o.Name), cmp.Compare(k.Error, o.Error))
}
func (FailureKey) other() FailureKey { return FailureKey{Other, Other, Other} }

// Failure counts failed spans. First and Last are starts, Example is the span
// of the last.
type Failure struct {
	Count   uint64 `json:"count"`
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Example Ref    `json:"example"`
}

func (f *Failure) weight() uint64 { return f.Count }
func (f *Failure) merge(o *Failure) {
	f.First = earlier(f.Count, f.First, o.Count, o.First)
	if cmp.Or(cmp.Compare(o.Last, f.Last), causal.SpanRef(o.Example).Compare(causal.SpanRef(f.Example))) > 0 {
		f.Last, f.Example = o.Last, o.Example
	}
	f.Count += o.Count
}

// LeadKey names what failures that look alike led to.
type LeadKey struct {
	Failure FailureKey `json:"failure"`
	Service string     `json:"service"`
	Name    string     `json:"name"`
}

func (k LeadKey) compare(o LeadKey) int {
	return cmp.Or(k.Failure.compare(o.Failure), cmp.Compare(k.Service, o.Service), cmp.Compare(k.Name, o.Name))
}
func (LeadKey) other() LeadKey { return LeadKey{FailureKey{}.other(), Other, Other} }

// Lead counts edges of error propagation.
type Lead struct {
	Count     uint64 `json:"count"`
	Recovered uint64 `json:"recovered,omitempty"` // whose effect did not fail
}

func (l *Lead) weight() uint64 { return l.Count }
func (l *Lead) merge(o *Lead) {
	l.Count += o.Count
	l.Recovered += o.Recovered
}

// ProcessKey names a process. The zero key names none.
type ProcessKey struct {
	Service string `json:"service"`
	Node    string `json:"node"`
	Process string `json:"process"`
}

func (k ProcessKey) compare(o ProcessKey) int {
	return cmp.Or(cmp.Compare(k.Service, o.Service), cmp.Compare(k.Node, o.Node), cmp.Compare(k.Process, o.Process))
}
func (ProcessKey) other() ProcessKey { return ProcessKey{} }

// Process is what is known of a process. Of several that had one id one after
// the other it is a sum. Times are starts of spans.
type Process struct {
	Parent    ProcessKey `json:"parent"`
	Spans     uint64     `json:"spans"`
	Errors    uint64     `json:"errors,omitempty"`
	First     uint64     `json:"first"`
	FirstName string     `json:"first_name"` // of the span that began first
	Last      uint64     `json:"last"`
	Exit      uint64     `json:"exit,omitempty"` // the last exit; 0: none is known
}

// Exited reports whether nothing came after the last exit.
func (p *Process) Exited() bool { return p.Exit > 0 && p.Exit >= p.Last }

func (p *Process) weight() uint64 { return p.Last }
func (p *Process) merge(o *Process) {
	if o.Parent.compare(p.Parent) > 0 {
		p.Parent = o.Parent
	}
	if o.Spans > 0 && (p.Spans == 0 || cmp.Or(cmp.Compare(o.First, p.First), cmp.Compare(o.FirstName, p.FirstName)) < 0) {
		p.First, p.FirstName = o.First, o.FirstName
	}
	p.Spans += o.Spans
	p.Errors += o.Errors
	p.Last, p.Exit = max(p.Last, o.Last), max(p.Exit, o.Exit)
}
