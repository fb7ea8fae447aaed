package scopereceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/otelscope/otelscope/internal/assemble"
	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/ring"
	"github.com/otelscope/otelscope/receiver/scopereceiver/internal/metadata"
)

// maxProcesses bounds the processes that are kept over all partitions.
const maxProcesses = 1 << 20

// scopeReceiver is the component: configuration and lifecycle.
type scopeReceiver struct {
	cfg    *Config
	set    receiver.Settings
	next   consumer.Traces
	counts *counts

	// Set by Start.
	letters    *letters
	ring       *ring.Ring[work]
	senders    *senders
	ahead      atomic.Int64 // see gate
	handler    *handler
	pool       *pool
	feed       *feed
	restored   restored
	otlp       receiver.Traces // the embedded stock receiver, nil without grpc and http
	server     *http.Server    // of native events, nil without
	serving    sync.WaitGroup
	stopTicks  chan struct{}
	unregister []func()

	shutdown sync.Once
}

func newReceiver(cfg *Config, set receiver.Settings, next consumer.Traces) (*scopeReceiver, error) {
	metrics, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &scopeReceiver{cfg: cfg, set: set, next: next, counts: &counts{metrics: metrics}}, nil
}

// Start makes everything ready and then listens. When it fails, nothing of it
// is left running.
func (r *scopeReceiver) Start(ctx context.Context, host component.Host) error {
	if err := r.start(ctx, host); err != nil {
		return errors.Join(err, r.Shutdown(ctx))
	}
	return nil
}

func (r *scopeReceiver) start(ctx context.Context, host component.Host) error {
	shared, err := r.findHub(host)
	if err != nil {
		return err
	}
	if r.letters, err = openLetters(r.cfg.DeadLetters, r.counts); err != nil {
		return fmt.Errorf("dead_letters.directory: %w", err)
	}
	if err := r.build(shared); err != nil {
		return err
	}
	if shared != nil {
		if err := r.restore(ctx, shared); err != nil {
			return err
		}
	}
	r.pool.start()
	r.serving.Go(r.expireIdle)
	if err := r.startOTLP(ctx, host); err != nil {
		return err
	}
	if err := r.startEvents(ctx, host); err != nil {
		return err
	}
	if shared != nil {
		r.unregister = append(r.unregister,
			shared.RegisterStatus(r.set.ID, r.status),
			shared.RegisterIntake(r.set.ID, r.pool),
			shared.Pressure().Register(r.pool.relief.readings),
			shared.RegisterDeadLetters(r.set.ID, &replayer{log: r.letters.log, feed: r.feed}))
	}
	return nil
}

func (r *scopeReceiver) findHub(host component.Host) (hub.Hub, error) {
	if r.cfg.Hub == nil {
		return nil, nil
	}
	return hub.Find(host, "hub", *r.cfg.Hub)
}

// build makes the parts between servers and pipeline. shared may be nil.
func (r *scopeReceiver) build(shared hub.Hub) error {
	overflow, err := ring.ParseOverflow(r.cfg.Ring.Overflow)
	if err != nil {
		return fmt.Errorf("ring.overflow: %w", err)
	}
	partitions := r.cfg.Ring.Partitions
	r.ring = ring.New[work](ring.Config{
		Partitions: partitions, MaxItems: r.cfg.Ring.MaxItems, MaxBytes: int64(r.cfg.Ring.MaxBytes), Overflow: overflow,
	})
	r.handler = &handler{
		next: r.next, partitions: make([]partition, partitions), version: r.set.BuildInfo.Version,
		letters: r.letters, logger: seldom(r.set.Logger), measure: r.counts.batch, lost: r.counts.lost,
	}
	r.senders = newSenders()
	budget := assemble.NewBudget(r.cfg.Dedup.MaxEvents)
	for i := range r.handler.partitions {
		r.handler.partitions[i].assembler = assemble.New(assemble.Config{
			StackDepth:    r.cfg.Limits.StackDepth,
			OpenCalls:     r.cfg.Limits.OpenCalls,
			EmitOpenCalls: r.cfg.OpenCalls == openCallsStore,
			DedupWindow:   r.cfg.Dedup.Window,
			Dedup:         budget,
			Processes:     max(1, maxProcesses/partitions),
		})
	}
	r.pool = newPool(r.cfg, r.ring, r.handler, seldom(r.set.Logger), r.counts)
	if shared != nil {
		r.pool.relief = newRelief(r.ring, shared.Pressure(), overflow, r.cfg.Timeout, r.pool.isPaused)
	}
	r.feed = &feed{
		ring: r.ring, partitions: partitions, maxBytes: int64(r.cfg.Ring.MaxBytes),
		stored: r.cfg.Acknowledge == acknowledgeStored, timeout: r.cfg.Timeout,
	}
	r.stopTicks = make(chan struct{})
	return r.observe()
}

// seldom passes on one message of a kind in ten seconds.
func seldom(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, 10*time.Second, 1, 0)
	}))
}

func (r *scopeReceiver) restore(ctx context.Context, shared hub.Hub) error {
	found, err := r.handler.restore(ctx, shared.Store(), r.cfg.Dedup)
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	r.restored = found
	r.set.Logger.Info("Rebuilt the state of native events from the store",
		zap.Int("open_calls", found.openCalls), zap.Int("spans", found.spans), zap.Duration("took", found.took))
	return nil
}

func (r *scopeReceiver) newGate() *gate {
	return newGate(r.ring.Full, r.counts.refused, r.senders, &r.ahead, int64(r.cfg.Ring.MaxBytes))
}

// startOTLP runs the stock otlp receiver with the ring behind it. Its id is of
// its own type, so that its metrics stand apart from ours.
func (r *scopeReceiver) startOTLP(ctx context.Context, host component.Host) error {
	if !r.cfg.Protocols.GRPC.HasValue() && !r.cfg.Protocols.HTTP.HasValue() {
		return nil
	}
	factory := otlpreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*otlpreceiver.Config)
	cfg.Protocols.GRPC, cfg.Protocols.HTTP = r.cfg.Protocols.GRPC, r.cfg.Protocols.HTTP
	gated := gatedHost{host, component.NewIDWithName(metadata.Type, "gate"), r.newGate()}
	if grpc := cfg.Protocols.GRPC.Get(); grpc != nil {
		grpc.Middlewares = gated.behind(grpc.Middlewares)
	}
	if http := cfg.Protocols.HTTP.Get(); http != nil {
		http.ServerConfig.Middlewares = gated.behind(http.ServerConfig.Middlewares)
	}
	set := r.set
	set.ID = component.NewIDWithName(factory.Type(), r.set.ID.String())
	otlp, err := factory.CreateTraces(ctx, set, cfg, tracesConsumer{r.feed, r.counts.refused})
	if err != nil {
		return err
	}
	r.otlp = otlp
	return otlp.Start(ctx, gated)
}

func (r *scopeReceiver) startEvents(ctx context.Context, host component.Host) error {
	if !r.cfg.Protocols.Events.HasValue() {
		return nil
	}
	cfg := *r.cfg.Protocols.Events.Get()
	obsreport, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: r.set.ID, Transport: "http", ReceiverCreateSettings: r.set,
	})
	if err != nil {
		return err
	}
	if cfg.MaxRequestBodySize <= 0 {
		cfg.MaxRequestBodySize = defaultMaxBody
	}
	handler := &eventsServer{
		feed: r.feed, gate: r.newGate(), letters: r.letters, obsreport: obsreport, counts: r.counts,
		maxBody: cfg.MaxRequestBodySize, maxReading: max(int64(r.cfg.Ring.MaxBytes)/4, 2*cfg.MaxRequestBodySize), assignID: idSource(),
	}
	server, err := cfg.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings, handler, confighttp.WithErrorHandler(writeHTTPProblem))
	if err != nil {
		return err
	}
	listener, err := cfg.ToListener(ctx)
	if err != nil {
		return err
	}
	r.server = server
	r.set.Logger.Info("Listening for native events", zap.String("endpoint", listener.Addr().String()))
	r.serving.Go(func() { r.serve(listener, host) })
	return nil
}

func (r *scopeReceiver) serve(listener net.Listener, host component.Host) {
	if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		componentstatus.ReportStatus(host, componentstatus.NewFatalErrorEvent(err))
	}
}

// expireIdle lets assemblers that get no events forget what is old. It goes
// through the ring, which knows who may touch an assembler.
func (r *scopeReceiver) expireIdle() {
	ticker := time.NewTicker(max(time.Second, r.cfg.Dedup.Window/10))
	defer ticker.Stop()
	for {
		select {
		case <-r.stopTicks:
			return
		case <-ticker.C:
			r.expire()
		}
	}
}

// maxFillToExpire keeps housekeeping out of a ring that has other worries.
const maxFillToExpire = 0.5

func (r *scopeReceiver) expire() {
	parts := make([]ring.Part[work], r.cfg.Ring.Partitions)
	for i := range parts {
		parts[i] = ring.Part[work]{Partition: i, Work: work{expire: true}, Items: 1}
	}
	if r.ring.Fill() > maxFillToExpire {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // never wait for room
	_, _ = r.ring.Push(ctx, nobody, parts)
}

// Shutdown ends everything within ctx's deadline and the configured timeout.
// It may be called at any time, and more than once.
func (r *scopeReceiver) Shutdown(ctx context.Context) error {
	var err error
	r.shutdown.Do(func() { err = r.stop(ctx) })
	return err
}

func (r *scopeReceiver) stop(ctx context.Context) error {
	for _, unregister := range r.unregister {
		unregister()
	}
	defer r.counts.metrics.Shutdown()
	if r.letters == nil {
		return nil
	}
	defer r.letters.close()
	if r.pool == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	r.ring.Close()
	r.pool.close()
	close(r.stopTicks)
	lostBefore := r.counts.lostItems.Load()
	drained := r.drain(ctx)
	r.counts.lost(owed(r.ring.Fail(errShutdown), errShutdown))
	r.pool.cancel()
	err := r.stopServers(ctx)
	if !drained && !r.pool.drain(ctx) {
		err = errors.Join(err, fmt.Errorf("a worker did not end: the pipeline has not answered it (%d events and spans are under way)", r.ring.Stats().FlightItems))
	}
	if lost := r.counts.lostItems.Load() - lostBefore; lost > 0 {
		r.set.Logger.Error("Lost at shutdown: the pipeline did not take what was acknowledged as buffered", zap.Int64("items", lost))
	}
	r.serving.Wait()
	return err
}

// drain lets workers finish, but leaves a fifth of the time that ctx has to
// what comes after.
func (r *scopeReceiver) drain(ctx context.Context) bool {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)*4/5)
	defer cancel()
	return r.pool.drain(ctx)
}

// stopServers ends both servers side by side, and closes connections to ours
// that do not end in time. The stock otlp receiver waits for its clients
// whatever ctx says, so it is left behind if they stay.
func (r *scopeReceiver) stopServers(ctx context.Context) error {
	ended := make(chan error, 1)
	if r.otlp == nil {
		ended <- nil
	} else {
		go func() { ended <- r.otlp.Shutdown(ctx) }()
	}
	var err error
	if r.server != nil && r.server.Shutdown(ctx) != nil {
		err = r.server.Close()
	}
	select {
	case <-ctx.Done():
	case otlpErr := <-ended:
		return errors.Join(err, otlpErr)
	}
	select {
	case otlpErr := <-ended:
		return errors.Join(err, otlpErr)
	default:
		return errors.Join(err, errors.New("the OTLP servers did not end: a client keeps its connection"))
	}
}
