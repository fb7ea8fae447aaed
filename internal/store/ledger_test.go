package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// ledger is what the store was given, and whether it acknowledged it.
type ledger struct {
	maxAge time.Duration

	mu      sync.Mutex // for add and clone
	records map[storetest.Identity]*record
	bare    map[string]*count // spans without identity, by what they are
}

type record struct{ versions []version }

type version struct {
	storetest.Plain
	acked bool
	at    time.Time
}

// count is how often a span without identity must and may be there.
type count struct{ least, most int }

func (l *ledger) add(td ptrace.Traces, acked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range storetest.Split(td) {
		id, ok := p.Identity()
		if !ok {
			l.addBare(p, acked)
			continue
		}
		if l.records[id] == nil {
			l.records[id] = &record{}
		}
		l.records[id].versions = append(l.records[id].versions, version{p, acked, time.Now()})
	}
}

func bareKey(p storetest.Plain) string { return p.Body + "\x00" + strings.Join(p.Links, "\x00") }

func (l *ledger) addBare(p storetest.Plain, acked bool) {
	c := l.bare[bareKey(p)]
	if c == nil {
		c = &count{}
		l.bare[bareKey(p)] = c
	}
	c.most++
	if acked && l.maxAge == 0 {
		c.least++
	}
}

// certain reports whether every version is known to be stored and kept.
func (l *ledger) certain(r *record) bool {
	return !slices.ContainsFunc(r.versions, func(v version) bool { return !v.acked || l.expired(v) })
}

func (l *ledger) expired(v version) bool { return l.maxAge > 0 && time.Since(v.at) >= l.maxAge }

func (l *ledger) check(s store.Store) error {
	found, err := readAll(s)
	if err != nil {
		return err
	}
	bare := map[string]int{}
	stored := map[storetest.Identity]storetest.Plain{}
	for _, p := range found {
		if id, ok := p.Identity(); ok {
			stored[id] = p
		} else {
			bare[bareKey(p)]++
		}
	}
	for id, p := range stored {
		if l.records[id] == nil {
			return fmt.Errorf("invented: %s", p)
		}
	}
	for id, r := range l.records {
		p, ok := stored[id]
		if err := l.checkRecord(r, p, ok); err != nil {
			return err
		}
	}
	for key, n := range bare {
		if l.bare[key] == nil || n > l.bare[key].most {
			return fmt.Errorf("span without identity is there %d times: %q", n, key)
		}
	}
	for key, c := range l.bare {
		if bare[key] < c.least {
			return fmt.Errorf("span without identity is there %d times, not %d: %q", bare[key], c.least, key)
		}
	}
	return checkLookups(s, found)
}

func (l *ledger) checkRecord(r *record, p storetest.Plain, found bool) error {
	if !found {
		if slices.ContainsFunc(r.versions, func(v version) bool { return v.acked && !l.expired(v) }) && !slices.ContainsFunc(r.versions, l.expired) {
			return fmt.Errorf("lost: %s", r.versions[0])
		}
		return nil
	}
	if l.certain(r) {
		if want := r.fold(); !want.Equal(p) {
			return fmt.Errorf("want %s\n got %s\nlinks %q\n  got %q\nversions%s", want, p, want.Links, p.Links, r.describe())
		}
		return nil
	}
	return l.checkUncertain(r, p)
}

// checkUncertain checks a span of which some versions may be missing.
func (l *ledger) checkUncertain(r *record, p storetest.Plain) error {
	known := false
	var most []string
	for _, v := range r.versions {
		known = known || v.Body == p.Body
		most = append(most, v.Links...)
		if !v.acked || slices.ContainsFunc(r.versions, l.expired) {
			continue
		}
		if !v.Open() && p.Open() {
			return fmt.Errorf("open, but complete was acknowledged: %s", p)
		}
		for _, link := range v.Links {
			if !slices.Contains(p.Links, link) {
				return fmt.Errorf("link lost: %s", p)
			}
		}
	}
	if !known {
		return fmt.Errorf("no version looks like %s", p)
	}
	for _, link := range p.Links {
		if !slices.Contains(most, link) {
			return fmt.Errorf("link invented: %s", p)
		}
	}
	return nil
}

func (r *record) describe() (s string) {
	for _, v := range r.versions {
		s += fmt.Sprintf("\n%s acked=%v links=%q %s", v.at.Format(time.TimeOnly), v.acked, v.Links, v.Plain)
	}
	return s
}

// fold is the contract: what becomes of versions in their order.
func (r *record) fold() storetest.Plain {
	p := r.versions[0].Plain
	for _, v := range r.versions[1:] {
		if p.Open() && !v.Open() {
			p = storetest.Union(v.Plain, p)
		} else {
			p = storetest.Union(p, v.Plain)
		}
	}
	return p
}

// readAll reads every trace.
func readAll(s store.Store) ([]storetest.Plain, error) {
	var all []storetest.Plain
	for trace := range uint64(60) {
		spans, err := s.Trace(context.Background(), storetest.TraceID(trace))
		if err != nil {
			return nil, err
		}
		last, seen := uint64(0), map[storetest.Identity]bool{}
		for _, span := range spans {
			p, err := storetest.Decode(span)
			if err != nil {
				return nil, err
			}
			if id, ok := p.Identity(); ok && seen[id] {
				return nil, fmt.Errorf("twice in its trace: %s", p)
			} else if ok {
				seen[id] = true
			}
			if start := uint64(p.Span().StartTimestamp()); start < last {
				return nil, fmt.Errorf("trace out of order at %s", p)
			} else {
				last = start
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// checkLookups holds Event and Scan to what Trace said.
func checkLookups(s store.Store, all []storetest.Plain) error {
	for _, id := range []string{"a", "b", "c", "r", "none"} {
		spans, err := s.Event(context.Background(), id)
		if err != nil {
			return err
		}
		if err := sameSpans(all, spans, func(p storetest.Plain) bool { return p.HasEvent(id) }); err != nil {
			return fmt.Errorf("event %q: %w", id, err)
		}
		if !slices.IsSortedFunc(spans, func(a, b store.Span) int { return int(b.Received - a.Received) }) {
			return fmt.Errorf("event %q: not by arrival", id)
		}
	}
	open, err := collect(s, store.ScanOptions{OpenCalls: true})
	if err != nil {
		return err
	}
	if err := sameSpans(all, open, storetest.Plain.Open); err != nil {
		return fmt.Errorf("scan of open calls: %w", err)
	}
	if err := storetest.CheckEdges(context.Background(), s, all); err != nil {
		return err
	}
	return checkScan(s, all)
}

func collect(s store.Store, opts store.ScanOptions) (spans []store.Span, err error) {
	for span, err := range s.Scan(context.Background(), opts) {
		if err != nil {
			return nil, err
		}
		spans = append(spans, span)
	}
	return spans, nil
}

// checkScan checks that a scan yields the same identities, and nothing else.
func checkScan(s store.Store, all []storetest.Plain) error {
	spans, err := collect(s, store.ScanOptions{})
	if err != nil {
		return err
	}
	known, bare := map[storetest.Identity]bool{}, 0
	for _, p := range all {
		id, ok := p.Identity()
		known[id] = true
		if !ok {
			bare++
		}
	}
	seen := map[storetest.Identity]bool{}
	for _, span := range spans {
		p, err := storetest.Decode(span)
		if err != nil {
			return err
		}
		id, ok := p.Identity()
		if !ok {
			bare--
		} else if !known[id] {
			return fmt.Errorf("scan: only there: %s", p)
		}
		seen[id] = true
	}
	if bare != 0 {
		return fmt.Errorf("scan: %d spans without identity are missing", bare)
	}
	for id := range known {
		if !seen[id] {
			return fmt.Errorf("scan: missing %x", id.Span)
		}
	}
	return nil
}

// sameSpans compares spans with those of all that match.
func sameSpans(all []storetest.Plain, spans []store.Span, match func(storetest.Plain) bool) error {
	var want, got []string
	for _, p := range all {
		if match(p) {
			want = append(want, bareKey(p))
		}
	}
	for _, span := range spans {
		p, err := storetest.Decode(span)
		if err != nil {
			return err
		}
		got = append(got, bareKey(p))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Errorf("%d spans, not %d", len(got), len(want))
	}
	return nil
}
