package scopereceiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/deadletter"
	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

var hubID = hubtest.ID

// testHub is a hub over the model of a store.
type testHub struct{ *hubtest.Hub }

func newTestHub() *testHub { return &testHub{hubtest.NewHub(storetest.NewModel(time.Now))} }

// status, letters and levers are what the one receiver has registered, nil if
// nothing.
func (h *testHub) status() func() any       { return h.Hub.Status()[testID] }
func (h *testHub) letters() hub.DeadLetters { return h.Hub.DeadLetters()[testID] }
func (h *testHub) levers() hub.Intake       { return h.Hub.Intake()[testID] }

// startWithHub runs a receiver whose pipeline ends in h's store.
func startWithHub(t *testing.T, h *testHub, change func(*Config)) *rig {
	t.Helper()
	cfg := testConfig(t)
	id := hubID
	cfg.Hub = &id
	if change != nil {
		change(cfg)
	}
	r := start(t, cfg, hostWith{hubID: h})
	r.pipeline.set(func(td ptrace.Traces) error { return h.Store().Write(t.Context(), td) })
	return r
}

func (h *testHub) spansOf(t *testing.T, id string) []ptrace.Span {
	t.Helper()
	found, err := h.Store().Event(t.Context(), id)
	require.NoError(t, err)
	var spans []ptrace.Span
	for _, s := range found {
		g := group{handler: &handler{}, origin: s.Origin, spans: [][]byte{s.Bytes}}
		td, err := g.decode()
		require.NoError(t, err)
		eachSpan(td, func(s ptrace.Span) { spans = append(spans, s) })
	}
	return spans
}

// Open calls, stacks and recognition outlive the receiver: they come back from
// the store.
func TestRestart(t *testing.T) {
	h := newTestHub()
	calls := at("p", "outer", "call", 1, `"name":"f"`) + at("p", "inner", "call", 2, `"name":"g"`)
	t.Run("before", func(t *testing.T) {
		r := startWithHub(t, h, nil)
		require.Equal(t, http.StatusOK, r.post(calls).status)
		require.NoError(t, exportHTTP(r.http, otlp("plain", "spans")))
		for i := range 1000 {
			require.Equal(t, http.StatusOK, r.post(mark(fmt.Sprint("m", i))).status)
		}
	})
	open := h.spansOf(t, "inner")
	require.Len(t, open, 1)

	r := startWithHub(t, h, nil)
	require.Equal(t, restored{openCalls: 2, spans: 1002, took: r.restored.took}, r.restored)
	require.Equal(t, 2, r.handler.stats().OpenCalls)
	r.pipeline.reset()
	require.Equal(t, http.StatusOK, r.post(calls+mark("new")).status)
	require.Equal(t, []string{"new"}, r.pipeline.names(), "the calls are recognised")
	require.Equal(t, http.StatusOK, r.post(at("p", "r1", "return", 3, `"name":"g"`)+at("p", "r2", "return", 4, `"name":"f"`)).status)
	require.Equal(t, map[string]string{"inner": "returned", "outer": "returned"}, r.pipeline.state)
	complete := h.spansOf(t, "inner")
	require.Len(t, complete, 1, "the complete span is the open one's successor")
	require.Equal(t, open[0].SpanID(), complete[0].SpanID())
	require.Zero(t, r.handler.stats().OpenCalls)
}

func TestRestoreIsBounded(t *testing.T) {
	h := newTestHub()
	t.Run("before", func(t *testing.T) {
		r := startWithHub(t, h, nil)
		for i := range 20 {
			require.Equal(t, http.StatusOK, r.post(mark(fmt.Sprint("m", i))).status)
		}
	})
	r := startWithHub(t, h, func(cfg *Config) { cfg.Dedup.MaxEvents = 5 })
	require.Equal(t, 5, r.restored.spans)
}

type brokenStore struct{ store.Store }

func (s brokenStore) Scan(_ context.Context, opts store.ScanOptions) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		if opts.OpenCalls {
			yield(store.Span{Origin: []byte("nonsense"), Bytes: nativeMark}, nil)
			return
		}
		yield(store.Span{}, errors.New("bad block"))
	}
}

func TestStartFails(t *testing.T) {
	missing := component.MustNewIDWithName("scope_query", "gone")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	taken := start(t, testConfig(t), nil)
	for _, c := range []struct {
		name   string
		change func(*Config)
		host   hostWith
		want   string
	}{
		{"no such hub", func(c *Config) { c.Hub = &missing }, hostWith{hubID: newTestHub()}, `hub: no extension "scope_query/gone": is it listed under service.extensions? (there is scope_query)`},
		{"dead letters", func(c *Config) { c.DeadLetters.Directory = filepath.Join(file, "x") }, nil, "dead_letters.directory: "},
		{"overflow", func(c *Config) { c.Ring.Overflow = "x" }, nil, "ring.overflow: "},
		{"broken store", func(c *Config) { id := hubID; c.Hub = &id }, hostWith{hubID: &testHub{hubtest.NewHub(brokenStore{})}}, "hub: a stored span cannot be read"},
		{"grpc address", func(c *Config) {
			c.Protocols.GRPC.Get().NetAddr.Endpoint = taken.cfg.Protocols.GRPC.Get().NetAddr.Endpoint
		}, nil, "address already in use"},
		{"events address", func(c *Config) {
			c.Protocols.Events.Get().NetAddr.Endpoint = taken.cfg.Protocols.Events.Get().NetAddr.Endpoint
		}, nil, "address already in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(t)
			c.change(cfg)
			r := build(t, cfg)
			require.ErrorContains(t, r.Start(t.Context(), c.host), c.want)
			require.NoError(t, r.Shutdown(t.Context()))
		})
	}
}

func TestStatus(t *testing.T) {
	h := newTestHub()
	r := startWithHub(t, h, nil)
	body := at("p", "c", "call", 1, `"name":"f"`) + at("p", "m", "mark", 2, `"name":"n"`) + `{"kind":"cal"}`
	require.Equal(t, http.StatusOK, r.post(body).status)
	require.Equal(t, http.StatusOK, r.post(body).status)
	require.Eventually(t, func() bool { return r.pool.sizes.count() == 2 && r.pool.load().busy == 0 }, time.Minute, time.Millisecond)
	text, err := json.Marshal(h.status()())
	require.NoError(t, err)
	var got receiverStatus
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, eventsStatus{Accepted: 4, Rejected: 2, Duplicates: 2, DeadLetters: 2}, got.Events)
	require.Equal(t, 1, got.Assembly.OpenCalls)
	require.Equal(t, 2, got.Assembly.DedupEntries)
	require.Equal(t, 2, got.Workers.Now)
	require.Len(t, got.Workers.Each, 2)
	require.Equal(t, int64(4), got.Workers.Each[0].Items+got.Workers.Each[1].Items)
	require.Equal(t, batchStatus{MinSize: 100, MaxSize: 10000, Target: 100, Last: 2, P50: 2, P50Milli: got.Batch.P50Milli}, got.Batch)
	for _, key := range []string{`"fill":0`, `"max_items":262144`, `"overflow":"refuse"`, `"dead_letters":{"count":2`, `"acknowledge":"stored"`} {
		require.Contains(t, string(text), key)
	}
	require.NoError(t, r.Shutdown(t.Context()))
	require.Nil(t, h.status())
	require.Nil(t, h.letters())
}

func TestReplay(t *testing.T) {
	h := newTestHub()
	r := startWithHub(t, h, nil)
	poison := true
	r.pipeline.set(func(td ptrace.Traces) error {
		if poison && contains(td, "e1", "s1") {
			return errPoison
		}
		return nil
	})
	require.Equal(t, http.StatusOK, r.post(at("p", "e1", "mark", 1, `"name":"n"`)+`{"kind":"cal"}`).status)
	require.NoError(t, exportHTTP(r.http, otlp("s1", "s2")))
	require.Equal(t, http.StatusBadRequest, r.post(protoEvent(t, "pb", "cal"), "Content-Type", "application/x-protobuf").status)
	require.NoError(t, r.letters.log.Add(deadletter.Letter{Source: "x", Format: "y", Payload: []byte("z")}))

	letters, more, err := h.letters().List(t.Context(), "", 2, false)
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, letters, 2)
	require.Nil(t, letters[0].Payload)
	require.Positive(t, letters[0].Bytes)
	rest, more, err := h.letters().List(t.Context(), letters[1].ID, 100, true)
	require.NoError(t, err)
	require.False(t, more)
	all := append(letters, rest...)
	require.Len(t, all, 5)
	byFormat := map[string][]string{}
	for _, l := range all {
		byFormat[l.Format] = append(byFormat[l.Format], l.ID)
	}

	// Still refused: the letters stay, with the new reason in the answer.
	done, err := h.letters().Replay(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, done.Replayed)
	require.Len(t, done.Failed, 5)
	text, err := json.Marshal(done)
	require.NoError(t, err)
	for _, want := range []string{"this span cannot be stored", `unknown kind`, `is not one of json, protobuf, otlp`} {
		require.Contains(t, string(text), want)
	}
	require.Len(t, r.letterList(), 5, "nothing is kept twice")

	poison = false
	done, err = h.letters().Replay(t.Context(), append(byFormat[formatOTLP], "ffffffffffffffff", "no id"))
	require.NoError(t, err)
	require.Equal(t, 1, done.Replayed)
	require.Len(t, done.Failed, 2)
	done, err = h.letters().Replay(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 1, done.Replayed)
	require.Len(t, done.Failed, 3)
	require.ElementsMatch(t, []string{"s2", "s1", "e1"}, r.pipeline.names(), "also an event that is remembered as refused")
	require.Len(t, r.letterList(), 3)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.letters().Replay(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.letters.log.Close())
	_, err = h.letters().Replay(t.Context(), nil)
	require.ErrorIs(t, err, deadletter.ErrClosed)
}
