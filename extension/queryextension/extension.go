package queryextension

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/cache"
	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/tail"
)

// drainTime is how long Shutdown waits for requests under way before it closes
// their connections.
const drainTime = 3 * time.Second

// queryExtension is the extension; see the package comment for its order of
// steps.
type queryExtension struct {
	cfg      *Config
	settings extension.Settings
	open     openFunc
	registry registry
	streams  streams
	monitor  *pressure.Monitor
	tail     *tail.Broker

	// Set by Start, which comes before all but Shutdown.
	store     store.Store
	follower  *follower
	unfollow  func()       // ends the follower, after the store
	cache     *cache.Cache // nil: none is configured
	telemetry *metadata.TelemetryBuilder
	server    *http.Server
	listener  net.Listener
	cancel    context.CancelFunc // ends the goroutines that the server does not
	running   sync.WaitGroup
}

var (
	_ hub.Hub                               = (*queryExtension)(nil)
	_ extension.Extension                   = (*queryExtension)(nil)
	_ extensioncapabilities.Dependent       = (*queryExtension)(nil)
	_ extensioncapabilities.PipelineWatcher = (*queryExtension)(nil)
)

// openFunc opens a store that tells the follower of what it stores.
type openFunc func(StorageConfig, store.Follower, *zap.Logger) (store.Store, error)

func newExtension(cfg *Config, set extension.Settings, open openFunc) *queryExtension {
	return &queryExtension{cfg: cfg, settings: set, open: open, monitor: pressure.NewMonitor(time.Now), tail: newBroker(cfg.Query.Tail)}
}

// Start opens the store and serves the API.
func (e *queryExtension) Start(ctx context.Context, host component.Host) error {
	e.follow()
	opened, err := e.open(e.cfg.Storage, e.follower, e.settings.Logger)
	if err != nil {
		e.unfollow()
		return fmt.Errorf("storage::directory: cannot open the store in %q: %w", e.cfg.Storage.Directory, err)
	}
	if e.cache, err = cache.New(int(e.cfg.Query.CacheBytes)); err != nil {
		return errors.Join(fmt.Errorf("query::cache_bytes: %w", err), opened.Close(ctx))
	}
	e.store = &watched{opened, e.cache}
	if err := e.serve(ctx, host); err != nil {
		return errors.Join(err, e.Shutdown(ctx))
	}
	stats := opened.Stats()
	e.settings.Logger.Info("The store is open and the query API is served",
		zap.String("directory", e.cfg.Storage.Directory),
		zap.Stringer("endpoint", e.listener.Addr()),
		zap.Int64("spans", stats.Spans),
		zap.Int64("recovered_spans", stats.RecoveredSpans),
		zap.Float64("recovery_seconds", stats.RecoverySecs))
	return nil
}

// follow starts the follower, which the store needs from the first moment on.
func (e *queryExtension) follow() {
	e.follower = newFollower(e.settings.Logger, tailing{e.tail, e.settings.Logger})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.follower.run(ctx) })
	e.unfollow = func() {
		cancel()
		running.Wait()
	}
}

// serve makes all that stands on the store. What it leaves behind when it
// fails, Shutdown takes down.
func (e *queryExtension) serve(ctx context.Context, host component.Host) (err error) {
	if e.telemetry, err = newTelemetry(e.settings.TelemetrySettings, e.store.Stats, e.monitor.State, e.tail.Stats); err != nil {
		return err
	}
	server, err := e.cfg.HTTP.ToServer(ctx, host.GetExtensions(), e.settings.TelemetrySettings, e.newAPI().handler(),
		confighttp.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, detail string, status int) {
			writeProblem(w, newProblem(status, "", "%s", detail))
		}))
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	listener, err := e.cfg.HTTP.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("http::endpoint: cannot listen on %q: %w", e.cfg.HTTP.NetAddr.Endpoint, err)
	}
	e.server, e.listener = server, listener

	background, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.running.Go(func() { watchTrouble(background, e.store.Stats, e.settings.Logger) })
	e.monitor.Register(pressure.NewMemory())
	e.monitor.Register(storeSource(e.store.Stats))
	e.running.Go(func() { e.monitor.Run(background) })
	e.running.Go(func() { watchPressure(background, e.monitor, countChanges(e.telemetry), e.settings.Logger) })
	e.running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(fmt.Errorf("the query API ended: %w", err)))
		}
	})
	return nil
}

func (e *queryExtension) newAPI() *api {
	origin := http.NewCrossOriginProtection()
	if cors := e.cfg.HTTP.CORS.Get(); cors != nil {
		for _, allowed := range cors.AllowedOrigins {
			// What is a pattern never equals an origin, so its pages may read only.
			if err := origin.AddTrustedOrigin(allowed); err != nil {
				e.settings.Logger.Info("Pages that this pattern allows may read but not control",
					zap.String("http::cors::allowed_origins", allowed))
			}
		}
	}
	return &api{
		cfg:      e.cfg,
		store:    e.store,
		follower: e.follower,
		registry: &e.registry,
		monitor:  e.monitor,
		version:  e.settings.BuildInfo.Version,
		self:     e.settings.BuildInfo.Command,
		started:  time.Now(),
		now:      time.Now,
		logger:   e.settings.Logger,
		record:   recordRequest(e.telemetry),
		streams:  &e.streams,
		hot:      &hot{cache: e.cache, stats: e.store.Stats, count: countLookups(e.telemetry)},
		searches: newGate(e.cfg.Query.MaxConcurrent),
		tail:     e.tail,
		origin:   origin,
	}
}

// Shutdown ends the server, then closes the store, then ends its follower.
func (e *queryExtension) Shutdown(ctx context.Context) error {
	e.streams.close()
	var errs []error
	if e.server != nil {
		errs = append(errs, e.stopServer(ctx))
		e.server = nil
	}
	if e.cancel != nil {
		e.cancel()
	}
	e.running.Wait()
	if e.telemetry != nil {
		e.telemetry.Shutdown()
	}
	if e.store != nil {
		if err := e.store.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("storage::directory: cannot close the store in %q: %w", e.cfg.Storage.Directory, err))
		}
		e.unfollow()
	}
	return errors.Join(errs...)
}

func (e *queryExtension) stopServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := e.server.Shutdown(ctx); err != nil {
		// A client that does not read its answer must not hold up the end.
		return e.server.Close()
	}
	return nil
}

// Dependencies are the extensions that confighttp asks for.
func (e *queryExtension) Dependencies() []component.ID {
	var ids []component.ID
	if auth := e.cfg.HTTP.Auth.Get(); auth != nil {
		ids = append(ids, auth.Config.AuthenticatorID)
	}
	for _, middleware := range e.cfg.HTTP.Middlewares {
		ids = append(ids, middleware.ID)
	}
	return ids
}

// Ready lets requests run that feed the pipelines.
func (e *queryExtension) Ready() error {
	e.streams.open()
	return nil
}

// NotReady ends them, before the receivers stop.
func (e *queryExtension) NotReady() error {
	e.streams.close()
	return nil
}

// Store implements hub.Hub.
func (e *queryExtension) Store() store.Store { return e.store }

// RegisterStatus implements hub.Hub.
func (e *queryExtension) RegisterStatus(id component.ID, figures func() any) (unregister func()) {
	return e.registry.status.add(id, figures)
}

// Pressure implements hub.Hub.
func (e *queryExtension) Pressure() *pressure.Monitor { return e.monitor }

// RegisterIntake implements hub.Hub.
func (e *queryExtension) RegisterIntake(id component.ID, levers hub.Intake) (unregister func()) {
	return e.registry.intake.add(id, levers)
}

// RegisterSampling implements hub.Hub.
func (e *queryExtension) RegisterSampling(id component.ID, levers hub.Sampling) (unregister func()) {
	return e.registry.sampling.add(id, levers)
}

// RegisterDeadLetters implements hub.Hub.
func (e *queryExtension) RegisterDeadLetters(id component.ID, letters hub.DeadLetters) (unregister func()) {
	return e.registry.letters.add(id, letters)
}
