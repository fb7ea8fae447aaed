package views

import (
	"cmp"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// Summary is what is said of a part, or of several together. Its tables may be
// read as long as nothing is added.
type Summary struct {
	Services   table[ServiceKey, Service, *Service]
	Edges      table[EdgeKey, Edge, *Edge]
	Operations table[OperationKey, Operation, *Operation]
	Failures   table[FailureKey, Failure, *Failure]
	Leads      table[LeadKey, Lead, *Lead]
	Processes  table[ProcessKey, Process, *Process]
	// Pending are edges whose other end had not come when the part ended, the
	// latest ones, by their tellers' start.
	Pending        []Pending
	PendingOmitted uint64 // that were left out
	// Missing is how many parts are among these of which nothing is known.
	Missing uint64
}

// NewSummary returns the summary of nothing.
func NewSummary() *Summary {
	return &Summary{
		Services:   newTable[ServiceKey, Service, *Service](mostServices),
		Edges:      newTable[EdgeKey, Edge, *Edge](mostEdges),
		Operations: newTable[OperationKey, Operation, *Operation](mostOperations),
		Failures:   newTable[FailureKey, Failure, *Failure](mostFailures),
		Leads:      newTable[LeadKey, Lead, *Lead](mostLeads),
		Processes:  newTable[ProcessKey, Process, *Process](mostProcesses),
	}
}

// Add adds another summary, of which it keeps nothing.
func (s *Summary) Add(o *Summary) {
	s.Services.merge(&o.Services)
	s.Edges.merge(&o.Edges)
	s.Operations.merge(&o.Operations)
	s.Failures.merge(&o.Failures)
	s.Leads.merge(&o.Leads)
	s.Processes.merge(&o.Processes)
	s.await(o.Pending)
	s.PendingOmitted += o.PendingOmitted
	s.Missing += o.Missing
}

// await adds edges that wait.
func (s *Summary) await(more []Pending) {
	if len(more) == 0 {
		return
	}
	s.Pending = slices.Concat(s.Pending, more)
	slices.SortFunc(s.Pending, func(a, b Pending) int { return a.compare(&b) })
	if over := len(s.Pending) - mostPending; over > 0 {
		s.Pending = slices.Clone(s.Pending[over:])
		s.PendingOmitted += uint64(over)
	}
}

// trim keeps every table within its bound.
func (s *Summary) trim() {
	s.Services.trim()
	s.Edges.trim()
	s.Operations.trim()
	s.Failures.trim()
	s.Leads.trim()
	s.Processes.trim()
}

// Span is what views need to know of a complete span.
type Span struct {
	Ref        causal.SpanRef
	Kind       int32  // as OTLP numbers them
	Start, End uint64 // nanoseconds since the epoch
	Failed     bool   // its status is Error
	Service    string
	Node       string
	Process    string // "" for none
	Name       string
	Error      string // of a failed one: error.type, else the status message
	Exit       bool   // it is a process's exit
	// Edges are what it tells, ordered so that those between the same two
	// spans in the same direction stand together. They are not kept.
	Edges []causal.Edge
}

// maxText bounds the bytes of the texts in keys.
const maxText = 200

// short cuts a text, between characters.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && s[n]&0xc0 == 0x80 { // within a character
		n--
	}
	return s[:n] + "…"
}

func (s *Span) duration() uint64 {
	if s.End <= s.Start {
		return 0
	}
	return s.End - s.Start
}

// add counts a span, but for its edges.
func (s *Summary) add(span *Span) {
	failed := uint64(0)
	if span.Failed {
		failed = 1
		failure := Failure{Count: 1, First: span.Start, Last: span.Start, Example: Ref(span.Ref)}
		s.Failures.at(FailureKey{span.Service, span.Name, span.Error}).merge(&failure)
	}
	service := s.Services.at(ServiceKey{span.Service})
	service.Spans++
	service.Errors += failed

	o := s.Operations.at(OperationKey{span.Service, span.Name, span.Kind})
	o.First, o.Last = earlier(o.Count, o.First, 1, span.Start), max(o.Last, span.Start)
	o.Count++
	o.Errors += failed
	o.Max = max(o.Max, span.duration())
	o.Duration.Add(span.duration())

	if span.Process != "" {
		process := Process{Spans: 1, Errors: failed, First: span.Start, FirstName: span.Name, Last: span.Start}
		if span.Exit {
			process.Exit = span.Start
		}
		s.Processes.at(ProcessKey{span.Service, span.Node, span.Process}).merge(&process)
	}
}

// join counts the edges between two spans in one direction.
func (s *Summary) join(cause, effect *End, told mask) {
	for i, t := range types {
		if !told.has(i) {
			continue
		}
		e := s.Edges.at(EdgeKey{cause.Service, effect.Service, t})
		e.Count++
		if effect.Failed {
			e.Errors++
		}
		latency := uint64(0)
		if effect.Start > cause.Start {
			latency = effect.Start - cause.Start
		}
		e.Latency.Add(latency)
		switch t {
		case causal.ErrorPropagation:
			lead := Lead{Count: 1}
			if !effect.Failed {
				lead.Recovered = 1
			}
			s.Leads.at(LeadKey{FailureKey{cause.Service, cause.Name, cause.Error}, effect.Service, effect.Name}).merge(&lead)
		case causal.ProcessSpawn:
			if cause.Process != "" && effect.Process != "" {
				child := Process{Parent: ProcessKey{cause.Service, cause.Node, cause.Process}}
				s.Processes.at(ProcessKey{effect.Service, effect.Node, effect.Process}).merge(&child)
			}
		}
	}
}

// Pending is an edge, or several between the same two spans in one direction,
// whose other end has not come.
type Pending struct {
	Missing causal.SpanRef
	Teller  End
	Effect  bool // the teller is the effect
	Told    mask
}

func (p *Pending) compare(o *Pending) int {
	return cmp.Or(cmp.Compare(p.Teller.Start, o.Teller.Start), p.Teller.Ref.Compare(o.Teller.Ref), p.Missing.Compare(o.Missing),
		cmp.Compare(p.Told, o.Told), cmp.Compare(p.Teller.Service, o.Teller.Service), cmp.Compare(p.Teller.Name, o.Teller.Name))
}

// End is what an edge needs to know of a span.
type End struct {
	Ref     causal.SpanRef
	Start   uint64
	Failed  bool
	Service string
	Node    string
	Process string
	Name    string
	Error   string
}

func (s *Span) asEnd() End {
	return End{
		Ref: s.Ref, Start: s.Start, Failed: s.Failed, Service: s.Service,
		Node: s.Node, Process: s.Process, Name: s.Name, Error: s.Error,
	}
}
