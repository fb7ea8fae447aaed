package views

import (
	"cmp"
	"slices"
)

// Query asks for some of the rows of a kind, by their keys.
type Query[K any] struct {
	After *K           // only what comes behind; nil: from the first on
	Keep  func(K) bool // of which rows; nil: of all
	Limit int          // at most so many, 1 or more
}

// Page is an answer: rows that are sums over several summaries, by their keys.
type Page[K, R any] struct {
	Rows    []Row[K, R]
	More    bool   // there are rows behind
	Omitted uint64 // rows that bounds folded into "(other)", or dropped
}

// Row is a row with its key.
type Row[K, R any] struct {
	Key    K
	Values R
}

// Services answers from several summaries together.
func Services(q Query[ServiceKey], of ...*Summary) Page[ServiceKey, Service] {
	return page(q, of, func(s *Summary) *table[ServiceKey, Service, *Service] { return &s.Services })
}

// Edges answers from several summaries together.
func Edges(q Query[EdgeKey], of ...*Summary) Page[EdgeKey, Edge] {
	return page(q, of, func(s *Summary) *table[EdgeKey, Edge, *Edge] { return &s.Edges })
}

// Operations answers from several summaries together.
func Operations(q Query[OperationKey], of ...*Summary) Page[OperationKey, Operation] {
	return page(q, of, func(s *Summary) *table[OperationKey, Operation, *Operation] { return &s.Operations })
}

// Failures answers from several summaries together.
func Failures(q Query[FailureKey], of ...*Summary) Page[FailureKey, Failure] {
	return page(q, of, func(s *Summary) *table[FailureKey, Failure, *Failure] { return &s.Failures })
}

// Processes answers from several summaries together.
func Processes(q Query[ProcessKey], of ...*Summary) Page[ProcessKey, Process] {
	return page(q, of, func(s *Summary) *table[ProcessKey, Process, *Process] { return &s.Processes })
}

// Leads returns where each of the failures led, the most frequent first, at
// most limit; what is left out is summed up as (other).
func Leads(failures []FailureKey, limit int, of ...*Summary) map[FailureKey][]Row[LeadKey, Lead] {
	asked := make(map[FailureKey]struct{}, len(failures))
	for _, key := range failures {
		asked[key] = struct{}{}
	}
	sums := newTable[LeadKey, Lead, *Lead](len(of) * mostLeads * 2) // takes all there is
	for _, s := range of {
		for key, row := range s.Leads.rows {
			if _, ok := asked[key.Failure]; ok {
				sums.at(key).merge(row)
			}
		}
	}
	found := map[FailureKey][]Row[LeadKey, Lead]{}
	for _, e := range sums.sorted() {
		found[e.Key.Failure] = append(found[e.Key.Failure], Row[LeadKey, Lead]{e.Key, e.Row})
	}
	for failure, rows := range found {
		slices.SortStableFunc(rows, func(a, b Row[LeadKey, Lead]) int { return cmp.Compare(b.Values.Count, a.Values.Count) })
		if len(rows) > limit {
			rest := Row[LeadKey, Lead]{Key: LeadKey{failure, Other, Other}}
			for i := range rows[limit:] {
				rest.Values.merge(&rows[limit+i].Values)
			}
			found[failure] = append(rows[:limit:limit], rest)
		}
	}
	return found
}

func page[K keyed[K], R any, P rowOf[R]](q Query[K], of []*Summary, table func(*Summary) *table[K, R, P]) (p Page[K, R]) {
	var keys []K // the first ones, rising, one more than is asked for
	for _, s := range of {
		t := table(s)
		p.Omitted += t.omitted
		for key := range t.rows {
			if q.After != nil && key.compare(*q.After) <= 0 || q.Keep != nil && !q.Keep(key) {
				continue
			}
			if len(keys) > q.Limit && key.compare(keys[q.Limit]) >= 0 {
				continue
			}
			at, found := slices.BinarySearchFunc(keys, key, K.compare)
			if !found {
				keys = slices.Insert(keys, at, key)
				keys = keys[:min(len(keys), q.Limit+1)]
			}
		}
	}
	p.More = len(keys) > q.Limit
	p.Rows = make([]Row[K, R], min(len(keys), q.Limit))
	for i := range p.Rows {
		p.Rows[i].Key = keys[i]
		for _, s := range of {
			if row, ok := table(s).rows[keys[i]]; ok {
				P(&p.Rows[i].Values).merge(row)
			}
		}
	}
	return p
}

// Count returns how many rows several summaries have together, by view.
func Count(of ...*Summary) map[string]int {
	return map[string]int{
		ServiceGraph:   count(of, func(s *Summary) *table[EdgeKey, Edge, *Edge] { return &s.Edges }),
		OperationsView: count(of, func(s *Summary) *table[OperationKey, Operation, *Operation] { return &s.Operations }),
		ErrorsView:     count(of, func(s *Summary) *table[FailureKey, Failure, *Failure] { return &s.Failures }),
		ProcessesView:  count(of, func(s *Summary) *table[ProcessKey, Process, *Process] { return &s.Processes }),
	}
}

func count[K keyed[K], R any, P rowOf[R]](of []*Summary, table func(*Summary) *table[K, R, P]) int {
	seen := map[K]struct{}{}
	for _, s := range of {
		for key := range table(s).rows {
			seen[key] = struct{}{}
		}
	}
	return len(seen)
}

// The names of the views.
const (
	ServiceGraph   = "service_graph"
	OperationsView = "operations"
	ErrorsView     = "errors"
	ProcessesView  = "processes"
)
