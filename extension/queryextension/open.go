package queryextension

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/store"
)

func openStore(cfg StorageConfig, follower store.Follower, logger *zap.Logger) (store.Store, error) {
	events := eventLog{logger: logger, now: time.Now}
	return store.Open(store.Config{
		Directory: cfg.Directory,
		NoSync:    !cfg.Sync,
		CutBytes:  int64(cfg.CutBytes),
		CutAge:    cfg.CutAge,
		Retention: store.Retention{MaxAge: cfg.Retention.MaxAge, MaxBytes: int64(cfg.Retention.MaxBytes)},
		Observe:   events.observe,
		Follower:  follower,
	})
}

// eventLog logs what the store did on its own, and what went wrong with it:
// of failures of one kind no more than one each troublePause, with the number
// of those left out.
type eventLog struct {
	logger *zap.Logger
	now    func() time.Time

	mu       sync.Mutex
	failures map[store.EventKind]*failures
}

type failures struct {
	logged time.Time
	hidden int // since then
}

func (l *eventLog) observe(event store.Event) {
	fields := []zap.Field{
		zap.String("event", string(event.Kind)),
		zap.Int64("spans", event.Spans),
		zap.Int64("bytes", event.Bytes),
		zap.Int("blocks", event.Blocks),
		zap.Duration("took", event.Duration),
	}
	if event.Err == nil {
		l.logger.Debug("The store did its work", fields...)
		return
	}
	if hidden, due := l.due(event.Kind); due {
		l.logger.Warn("The store failed at its work", append(fields, zap.Int("not_logged", hidden), zap.Error(event.Err))...)
	}
}

// due says whether a failure of this kind may be logged now, and how many were
// not since the last that was.
func (l *eventLog) due(kind store.EventKind) (hidden int, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, ok := l.failures[kind]
	now := l.now()
	if ok && now.Sub(seen.logged) < troublePause {
		seen.hidden++
		return 0, false
	}
	if l.failures == nil {
		l.failures = map[store.EventKind]*failures{}
	}
	l.failures[kind] = &failures{logged: now}
	if ok {
		hidden = seen.hidden
	}
	return hidden, true
}
