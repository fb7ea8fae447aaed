package scopestoreexporter

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelscope/otelscope/exporter/scopestoreexporter/internal/metadata"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func newLifecycleHost() component.Host {
	return hubtest.NewHost(hubtest.NewHub(storetest.NewModel(time.Now)))
}

// failing is a store whose next writes fail as told.
type failing struct {
	store.Store
	errs  []error // of the next writes, then none
	tries []time.Time
}

func (f *failing) Write(ctx context.Context, td ptrace.Traces) error {
	f.tries = append(f.tries, time.Now())
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return err
	}
	return f.Store.Write(ctx, td)
}

// newExporter returns a started exporter over a store that fails as told.
func newExporter(t *testing.T, set exporter.Settings, errs ...error) (exporter.Traces, *failing) {
	f := &failing{Store: storetest.NewModel(time.Now), errs: errs}
	e, err := NewFactory().CreateTraces(t.Context(), set, createDefaultConfig())
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), hubtest.NewHost(hubtest.NewHub(f))))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e, f
}

func batch() ptrace.Traces {
	td := storetest.Traces(storetest.Spec{Service: "pay", Trace: 1, Span: 2, Name: "charge"})
	td.MarkReadOnly()
	return td
}

func nop() exporter.Settings { return exportertest.NewNopSettings(metadata.Type) }

func TestStored(t *testing.T) {
	e, f := newExporter(t, nop())
	require.False(t, e.Capabilities().MutatesData)
	require.NoError(t, e.ConsumeTraces(t.Context(), batch()))
	spans, err := f.Trace(t.Context(), storetest.TraceID(1))
	require.NoError(t, err)
	require.Len(t, spans, 1)
}

func TestInvalidIsPermanent(t *testing.T) {
	e, f := newExporter(t, nop(), &store.InvalidError{Reason: "too large"})
	err := e.ConsumeTraces(t.Context(), batch())
	require.True(t, consumererror.IsPermanent(err))
	require.ErrorContains(t, err, "too large")
	require.Len(t, f.tries, 1)
}

func TestTriesAgain(t *testing.T) {
	for name, err := range map[string]error{
		"unavailable": &store.UnavailableError{Reason: "no space"},
		"closed":      store.ErrClosed,
		"other":       errors.New("odd"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, f := newExporter(t, nop(), err, err)
				require.NoError(t, e.ConsumeTraces(t.Context(), batch()))
				require.Len(t, f.tries, 3)
				require.Less(t, f.tries[2].Sub(f.tries[0]), time.Second)
			})
		})
	}
}

func TestWaitsAsLongAsTheStoreAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, f := newExporter(t, nop(), &store.UnavailableError{Reason: "log full", RetryAfter: time.Second})
		require.NoError(t, e.ConsumeTraces(t.Context(), batch()))
		require.Len(t, f.tries, 2)
		require.GreaterOrEqual(t, f.tries[1].Sub(f.tries[0]), time.Second)
	})
}

func TestHandsBackWhatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lasting := &store.UnavailableError{Reason: "no space", RetryAfter: 100 * time.Millisecond, Err: errors.New("ENOSPC")}
		errs := make([]error, 1000)
		for i := range errs {
			errs[i] = lasting
		}
		e, f := newExporter(t, nop(), errs...)
		begun := time.Now()
		err := e.ConsumeTraces(t.Context(), batch())
		require.False(t, consumererror.IsPermanent(err))
		var unavailable *store.UnavailableError
		require.ErrorAs(t, err, &unavailable, "the receiver needs to know how long to ask the sender to wait")
		require.Equal(t, 100*time.Millisecond, unavailable.RetryAfter)
		require.Greater(t, len(f.tries), 3)
		require.LessOrEqual(t, time.Since(begun), 3*time.Second)
	})
}

func TestTimeoutBoundsATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.RetryConfig.Enabled = false
		e, err := NewFactory().CreateTraces(t.Context(), nop(), cfg)
		require.NoError(t, err)
		require.NoError(t, e.Start(t.Context(), hubtest.NewHost(hubtest.NewHub(stuck{storetest.NewModel(time.Now)}))))
		begun := time.Now()
		require.ErrorIs(t, e.ConsumeTraces(t.Context(), batch()), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.NoError(t, e.Shutdown(t.Context()))
	})
}

// stuck is a store whose writes take as long as they may.
type stuck struct{ store.Store }

func (stuck) Write(ctx context.Context, _ ptrace.Traces) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestNoHub(t *testing.T) {
	e, err := NewFactory().CreateTraces(t.Context(), nop(), createDefaultConfig())
	require.NoError(t, err)
	require.EqualError(t, e.Start(t.Context(), componenttest.NewNopHost()),
		`store: no extension "scope_query": is it listed under service.extensions? (there is none)`)
	require.NoError(t, e.Shutdown(t.Context()))
}

func TestMetrics(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	set := nop()
	set.TelemetrySettings = tel.NewTelemetrySettings()
	e, _ := newExporter(t, set, store.ErrClosed, &store.UnavailableError{}, &store.InvalidError{})
	require.Error(t, e.ConsumeTraces(t.Context(), batch()))
	require.NoError(t, e.ConsumeTraces(t.Context(), batch()))

	got, err := tel.GetMetric("otelcol_scope_store_write_duration")
	require.NoError(t, err)
	counts := map[string]uint64{}
	for _, point := range got.Data.(metricdata.Histogram[float64]).DataPoints {
		outcome, _ := point.Attributes.Value("outcome")
		counts[outcome.AsString()] = point.Count
	}
	require.Equal(t, map[string]uint64{"failed": 1, "unavailable": 1, "invalid": 1, "stored": 1}, counts)
}

func BenchmarkPush(b *testing.B) {
	e, err := NewFactory().CreateTraces(b.Context(), nop(), createDefaultConfig())
	require.NoError(b, err)
	require.NoError(b, e.Start(b.Context(), hubtest.NewHost(hubtest.NewHub(taking{}))))
	td := batch()
	b.ReportAllocs()
	for b.Loop() {
		if err := e.ConsumeTraces(b.Context(), td); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, e.Shutdown(b.Context()))
}

// taking is a store that takes everything at once.
type taking struct{ store.Store }

func (taking) Write(context.Context, ptrace.Traces) error { return nil }
