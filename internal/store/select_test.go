package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

func selected(st store.Store, sel store.Selection) (spans []store.Span, err error) {
	for span, err := range st.Select(ctx, sel) {
		if err != nil {
			return spans, err
		}
		spans = append(spans, span)
	}
	return spans, nil
}

func is(key string, value any) store.Has {
	return store.Has{Field: store.Field{Key: key}, Value: value}
}

var (
	named  = store.Field{Of: store.OfName}
	failed = store.Has{Field: store.Field{Of: store.OfStatus}, Value: int64(2)}
)

// writeMany writes blocks of 600 spans each, and as many into the head.
func writeMany(t *testing.T, st store.Store, blocks int) {
	for part := range uint64(blocks + 1) {
		if part > 0 {
			require.NoError(t, store.Cut(st))
		}
		var specs []storetest.Spec
		for i := range uint64(600) {
			n := part*600 + i
			spec := storetest.Spec{
				Service: fmt.Sprint("service ", n/50%3), Trace: n/5 + 1, Span: n + 1, Start: 1_000_000 + n*10, Lasted: 1 + n%100,
				Name: fmt.Sprint("name ", n%11), Attributes: map[string]any{"number": int64(n), "part": fmt.Sprint("part ", part)},
			}
			if n%50 == 0 {
				spec.Status, spec.Happened = ptrace.StatusCodeError, []string{"exception"}
			}
			specs = append(specs, spec)
		}
		require.NoError(t, st.Write(ctx, storetest.Traces(specs...)))
	}
}

// TestSelectLeavesUnread holds a selection to read no more than it must.
func TestSelectLeavesUnread(t *testing.T) {
	inBubble(t, func(c *store.Config) { c.CutBytes = 1 << 20 }, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
		writeMany(t, st, 4)
		for name, c := range map[string]struct {
			sel   store.Selection
			limit int // 0: none
			spans int
			parts int   // read, at most, the head included
			zones int64 // of blocks
		}{
			"a value in one zone":   {sel: store.Selection{Where: is("number", int64(700))}, spans: 1, parts: 2, zones: 1},
			"a value of one block":  {sel: store.Selection{Where: is("part", "part 2")}, spans: 600, parts: 2, zones: 3},
			"nobody":                {sel: store.Selection{Where: is("number", int64(-1))}, parts: 1},
			"another type":          {sel: store.Selection{Where: is("number", 700.0)}, parts: 1},
			"a field nobody has":    {sel: store.Selection{Where: is("nobody", "x")}, parts: 1},
			"both of two":           {sel: store.Selection{Where: store.All{is("number", int64(700)), is("part", "part 2")}}, parts: 1},
			"one of two":            {sel: store.Selection{Where: store.Any{is("number", int64(700)), is("number", int64(5))}}, spans: 2, parts: 3, zones: 2},
			"a text":                {sel: store.Selection{Where: store.Among{Field: store.Field{Key: "part"}, Accept: func(s string) bool { return s == "part 1" }}}, spans: 600, parts: 2, zones: 3},
			"a text of many values": {sel: store.Selection{Where: store.All{is("part", "part 1"), store.Among{Field: named, Accept: func(s string) bool { return s == "name 3" }}}}, spans: 54, parts: 2, zones: 3},
			"a time":                {sel: store.Selection{Start: 1_000_000 + 700*10, End: 1_000_000 + 701*10}, spans: 1, parts: 1, zones: 1},
			"from a time on":        {sel: store.Selection{Start: 1_000_000 + 2999*10}, spans: 1, parts: 1},
			"up to a time":          {sel: store.Selection{End: 1_000_001}, spans: 1, parts: 1, zones: 1},
			"a duration":            {sel: store.Selection{Where: store.Lasted{Min: 101, Max: 200}}, parts: 1},
			"the latest":            {sel: store.Selection{}, limit: 3, spans: 3, parts: 3, zones: 7},
			"name and failure":      {sel: store.Selection{Where: store.All{failed, store.Has{Field: named, Value: "name 6"}}}, spans: 6, parts: 5, zones: 5},
		} {
			var r store.Reading
			c.sel.Reading = &r
			n := 0
			for _, err := range st.Select(ctx, c.sel) {
				require.NoError(t, err)
				if n++; n == c.limit {
					break
				}
			}
			require.Equal(t, c.spans, n, name)
			require.EqualValues(t, c.spans, r.Matched, name)
			require.Equal(t, 5, r.Parts)
			require.LessOrEqual(t, r.Parts-r.PartsSkipped, c.parts, name)
			require.LessOrEqual(t, r.Zones-r.ZonesSkipped, c.zones, name)
			require.LessOrEqual(t, r.Spans, 600+c.zones*block.ZoneRows, name)
			require.Equal(t, r.Spans > 0, r.Bytes > 0)
			if c.limit > 0 {
				continue
			}
			estimate, err := st.Estimate(ctx, c.sel)
			require.NoError(t, err)
			require.LessOrEqual(t, estimate, 600+c.zones*block.ZoneRows, name)
			require.GreaterOrEqual(t, estimate*3, int64(c.spans), name)
		}
	})
}

// TestSelectOfBlocksWithoutSections: the answers are the same.
func TestSelectOfBlocksWithoutSections(t *testing.T) {
	cfg := store.Config{Directory: "/data/store", FS: memfs.New(), ReserveBytes: -1, CutBytes: 1 << 20}
	st, err := store.Open(cfg)
	require.NoError(t, err)
	model := storetest.NewModel(time.Now)
	for i := range uint64(2) {
		var specs []storetest.Spec
		for n := range uint64(300) {
			specs = append(specs, storetest.Spec{
				Service: "s", Trace: 1, Span: i*250 + n + 1, Start: n * (i + 1), Name: fmt.Sprint(n % 5), Effects: []uint64{n},
				State: []string{"", causal.CallOpen}[n%2], Attributes: map[string]any{"n": int64(n)},
			})
		}
		td := storetest.Traces(specs...)
		require.NoError(t, st.Write(ctx, td))
		require.NoError(t, model.Write(ctx, td))
		require.NoError(t, store.Cut(st))
	}
	require.NoError(t, storetest.CheckSearches(ctx, model, st))
	require.NoError(t, st.Close(ctx))
	hideSections(t, cfg.FS, "zones")
	st, err = store.Open(cfg)
	require.NoError(t, err)
	require.NoError(t, storetest.CheckSearches(ctx, model, st))
	require.NoError(t, st.Close(ctx))
}

// TestVersionsOfOneSpan: which of them a selection meets first makes no
// difference.
func TestVersionsOfOneSpan(t *testing.T) {
	open := storetest.Spec{Trace: 1, Span: 1, Start: 50, State: causal.CallOpen, Name: "open", Links: []uint64{1}}
	first := storetest.Spec{Trace: 1, Span: 1, Start: 70, Name: "first", Links: []uint64{2}}
	second := storetest.Spec{Trace: 1, Span: 1, Start: 90, Name: "second", Links: []uint64{3}}
	for _, order := range [][]storetest.Spec{{open, first, second}, {first, open, second}, {first, second, open}, {second, first, open}, {open, open, first}} {
		for cuts := range 8 {
			inBubble(t, func(c *store.Config) { c.MaxOpenBytes = 1 }, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
				model := storetest.NewModel(time.Now)
				for i, spec := range order {
					td := storetest.Traces(spec, storetest.Spec{Trace: 2, Span: uint64(i) + 1, Start: 60 + uint64(i)*20})
					require.NoError(t, st.Write(ctx, td))
					require.NoError(t, model.Write(ctx, td))
					if cuts>>i&1 != 0 {
						require.NoError(t, store.Cut(st))
					}
				}
				linked := func(n int) func(storetest.Plain) bool {
					return func(p storetest.Plain) bool { return len(p.Links) >= n }
				}
				for _, sel := range []store.Selection{
					{}, {IgnoresLinks: true}, {Start: 60}, {End: 80}, {Start: 80, End: 100},
					{Where: store.Has{Field: named, Value: "first"}}, {Where: store.Has{Field: named, Value: "open"}},
					{NewMatcher: storetest.Matching(linked(2))}, {NewMatcher: storetest.Matching(linked(3))},
				} {
					if c := sel.Where; c != nil {
						sel.NewMatcher = storetest.Matching(func(p storetest.Plain) bool { return p.Fulfils(c) })
					}
					require.NoError(t, storetest.CheckSelect(ctx, model, st, sel), "%v %d", order, cuts)
				}
			})
		}
	}
}

// TestSelectWhileThingsMove writes, cuts, merges and drops under selections:
// what was there before one began and is there after it is in it once, and in
// order.
func TestSelectWhileThingsMove(t *testing.T) {
	st, err := store.Open(store.Config{Directory: "/data", FS: memfs.New(), CutBytes: 256 << 10, ReserveBytes: -1, CutSpans: 2000})
	require.NoError(t, err)
	var written atomic.Uint64
	write := func() error {
		n := written.Load()
		var specs []storetest.Spec
		for i := range uint64(50) {
			state := ""
			if i%10 == 0 {
				state = causal.CallOpen
			}
			specs = append(specs, storetest.Spec{Trace: n + 1, Span: i + 1, Start: 1000 + n*50 + i, Name: "wanted", State: state})
			if n > 3 && i%10 == 0 { // completes a call that was open
				specs = append(specs, storetest.Spec{Trace: n - 2, Span: i + 1, Start: 1000 + (n-3)*50 + i, Name: "wanted", State: causal.CallReturned})
			}
		}
		err := st.Write(ctx, storetest.Traces(specs...))
		if err == nil {
			written.Add(1)
		}
		return err
	}
	// Both keep on until all checks are made: these, not time, end the test.
	checked := make(chan struct{})
	errs := make(chan error, 8)
	var moving, checking sync.WaitGroup
	keepOn := func(work func() error) {
		moving.Go(func() {
			for {
				select {
				case <-checked:
					return
				default:
				}
				if err := work(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for written.Load() < 5 {
		require.NoError(t, write())
	}
	keepOn(func() error {
		if written.Load() >= 80 { // more would only make each check long
			time.Sleep(time.Millisecond)
			return nil
		}
		var unavailable *store.UnavailableError
		if err := write(); err != nil && !asUnavailable(err, &unavailable) {
			return err
		}
		return nil
	})
	keepOn(func() error {
		if err := store.Cut(st); err != nil {
			return err
		}
		return store.Compact(st)
	})
	for range 3 {
		checking.Go(func() {
			for n := 0; n < 10 || written.Load() < 60 && len(errs) == 0; n++ {
				if err := checkMoving(st, written.Load()); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	checking.Wait()
	close(checked)
	moving.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.NoError(t, checkMoving(st, written.Load()))
	require.NoError(t, st.Close(ctx))
}

// TestSelectOfWhatIsCompletedMeanwhile: a call whose return comes while a
// selection is under way is still in it, as it was.
func TestSelectOfWhatIsCompletedMeanwhile(t *testing.T) {
	inBubble(t, func(c *store.Config) { c.MaxOpenBytes, c.CutBytes = 1, 8<<20 }, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
		specs := []storetest.Spec{{Trace: 1, Span: 1, Start: 1, State: causal.CallOpen}}
		for i := range uint64(40 * block.ZoneRows) { // many more zones than are read ahead
			specs = append(specs, storetest.Spec{Trace: 2, Span: i + 1, Start: 10 + i})
		}
		write(t, st, specs...)
		require.NoError(t, store.Cut(st))
		write(t, st, storetest.Spec{Trace: 3, Span: 1, Start: 1 << 30})
		n, calls := 0, 0
		for span, err := range st.Select(ctx, store.Selection{}) {
			require.NoError(t, err)
			if n++; n == 1 {
				write(t, st, storetest.Spec{Trace: 1, Span: 1, Start: 1, State: causal.CallReturned})
			}
			p, err := storetest.Decode(span)
			require.NoError(t, err)
			if p.Ref() == storetest.Ref(1, 1) {
				require.True(t, p.Open())
				calls++
			}
		}
		require.Equal(t, 1, calls)
		require.Equal(t, len(specs)+1, n)
	})
}

func asUnavailable(err error, target **store.UnavailableError) bool {
	u, ok := err.(*store.UnavailableError)
	*target = u
	return ok
}

// checkMoving looks for the spans of all requests before one.
func checkMoving(st store.Store, before uint64) error {
	seen := map[[2]string]bool{}
	last := ^uint64(0)
	for span, err := range st.Select(ctx, store.Selection{Where: store.Has{Field: named, Value: "wanted"}}) {
		if err != nil {
			return err
		}
		p, err := storetest.Decode(span)
		if err != nil {
			return err
		}
		s := p.Span()
		key := [2]string{s.TraceID().String(), s.SpanID().String()}
		if at := uint64(s.StartTimestamp()); seen[key] || at > last {
			return fmt.Errorf("%v comes again (%v) or too late: %d after %d", key, seen[key], at, last)
		}
		seen[key], last = true, uint64(s.StartTimestamp())
	}
	for n := range before {
		for i := range uint64(50) {
			if key := [2]string{storetest.TraceID(n + 1).String(), storetest.SpanID(i + 1).String()}; !seen[key] {
				return fmt.Errorf("%v is missing of %d requests", key, before)
			}
		}
	}
	return nil
}

// TestSelectAfterDamage: damage is said, and nothing is made up for it.
func TestSelectAfterDamage(t *testing.T) {
	cfg := store.Config{Directory: "/data/store", FS: memfs.New(), ReserveBytes: -1}
	st, err := store.Open(cfg)
	require.NoError(t, err)
	write(t, st, storetest.Spec{Trace: 1, Span: 1, Attributes: map[string]any{"key": "value"}})
	require.NoError(t, store.Cut(st))
	require.NoError(t, st.Close(ctx))
	parquet := idsFiles(t, cfg.FS)[0]
	parquet = parquet[:len(parquet)-len("ids")] + "parquet"
	data, err := vfs.ReadFile(cfg.FS, parquet, 1<<20)
	require.NoError(t, err)
	for i := range data {
		data[i] ^= 0x55
	}
	f, err := cfg.FS.Create(parquet)
	require.NoError(t, err)
	_, err = f.WriteAt(data, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	st, err = store.Open(cfg)
	require.NoError(t, err)
	_, err = selected(st, store.Selection{})
	var corrupt *block.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, parquet, corrupt.File)
	none, err := selected(st, store.Selection{Where: is("key", "another")})
	require.NoError(t, err, "nothing is read")
	require.Empty(t, none)
	require.NoError(t, st.Close(ctx))
}

// TestSelectEndsWithItsContext, also while a matcher works.
func TestSelectEndsWithItsContext(t *testing.T) {
	inBubble(t, func(c *store.Config) { c.CutBytes = 1 << 20 }, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
		writeMany(t, st, 2)
		for _, ignores := range []bool{false, true} {
			ended, cancel := context.WithCancel(ctx)
			defer cancel()
			var calls atomic.Int64
			var last error
			for _, err := range st.Select(ended, store.Selection{IgnoresLinks: ignores, NewMatcher: func() func(store.Span) (bool, error) {
				return func(store.Span) (bool, error) {
					if calls.Add(1) == 700 {
						cancel()
					}
					return false, nil
				}
			}}) {
				last = err
			}
			require.ErrorIs(t, last, context.Canceled)
			require.Less(t, calls.Load(), int64(710))
		}
	})
}

// TestSelectSaysWhatTheDiskSays fails each read of a search in turn.
func TestSelectSaysWhatTheDiskSays(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, cfg store.Config, _ *observed) {
		for i := range uint64(3) {
			write(t, st, storetest.Spec{Service: "s", Trace: 1, Span: i + 1, Name: "n", Attributes: map[string]any{"k": "v"}, Effects: []uint64{7}})
			require.NoError(t, store.Cut(st))
		}
		write(t, st, storetest.Spec{Trace: 1, Span: 1, State: causal.CallOpen, Attributes: map[string]any{"k": "v"}})
		conditions := store.All{
			is("k", "v"), is(causal.AttrEventID, "none"), store.Any{failed, store.Among{Field: named, Accept: func(string) bool { return true }}},
		}
		searches := map[string]func() error{
			"select":   func() error { _, err := selected(st, store.Selection{Where: is("k", "v")}); return err },
			"all":      func() error { _, err := selected(st, store.Selection{Where: conditions}); return err },
			"any":      func() error { _, err := selected(st, store.Selection{Where: store.Any(conditions)}); return err },
			"among":    func() error { _, err := selected(st, store.Selection{Where: conditions[2]}); return err },
			"estimate": func() error { _, err := st.Estimate(ctx, store.Selection{Where: is("k", "v")}); return err },
			"values":   func() error { _, err := st.Values(ctx, named, 0, 0, 5); return err },
			"linking": func() error {
				_, _, err := st.Linking(ctx, []causal.SpanRef{storetest.Ref(1, 7)}, 10)
				return err
			},
			"traces": func() error {
				_, _, err := st.Traces(ctx, []pcommon.TraceID{storetest.TraceID(1), storetest.TraceID(2)}, 1000)
				return err
			},
			"causing": func() error {
				_, _, err := st.Causing(ctx, []causal.SpanRef{storetest.Ref(1, 7)}, 10)
				return err
			},
		}
		for name, search := range searches {
			failEachRead(t, cfg.FS.(*memfs.FS), name, search)
		}
		require.NoError(t, st.Close(ctx))
		hideSections(t, cfg.FS, "zones")
		for name, search := range map[string]func(store.Store) error{
			"select of an old block": func(st store.Store) error { _, err := selected(st, store.Selection{}); return err },
			"fields of an old block": func(st store.Store) error { _, err := st.Fields(ctx, 0, 0); return err },
			"values of an old block": func(st store.Store) error { _, err := st.Values(ctx, named, 0, 0, 5); return err },
		} {
			st, err := store.Open(cfg)
			require.NoError(t, err)
			failEachRead(t, cfg.FS.(*memfs.FS), name, func() error { return search(st) })
			require.NoError(t, st.Close(ctx))
		}
	})
}

// failEachRead fails the reads of a question in turn.
func failEachRead(t *testing.T, fsys *memfs.FS, name string, ask func() error) {
	for n := int64(0); ; n++ {
		var seen atomic.Int64
		fsys.SetHook(func(op memfs.Op, _ string) error {
			if op == memfs.OpRead && seen.Add(1) == n+1 {
				return syscall.EIO
			}
			return nil
		})
		err := ask()
		fsys.SetHook(nil)
		if seen.Load() <= n {
			require.NoError(t, err, name)
			require.Positive(t, n, name)
			return
		}
		require.ErrorIs(t, err, syscall.EIO, name)
	}
}

// TestManyConditions has more than a filter looks at.
func TestManyConditions(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
		write(t, st, storetest.Spec{Trace: 1, Span: 1, Attributes: map[string]any{"number": int64(99)}}, storetest.Spec{Trace: 1, Span: 2})
		var any store.Any
		for i := range 100 {
			any = append(any, is("number", int64(i)))
		}
		for range 2 {
			found, err := selected(st, store.Selection{Where: any, NewMatcher: storetest.Matching(func(p storetest.Plain) bool { return p.Fulfils(any) })})
			require.NoError(t, err)
			require.Len(t, found, 1)
			unknown, err := selected(st, store.Selection{Where: store.Any{store.Has{Field: named, Value: 5}, store.Has{Field: store.Field{Of: 99}, Value: "x"}}})
			require.NoError(t, err)
			require.Len(t, unknown, 2, "what a store does not know it does not judge by")
			require.NoError(t, store.Cut(st))
		}
	})
}
