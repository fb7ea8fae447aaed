package queryextension

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/store"
)

const (
	troubleInterval = time.Second      // how often the store is asked
	troublePause    = 10 * time.Second // least time between two warnings
	troubleRepeat   = time.Minute      // the same trouble is said again after this
)

// troubleLog decides when the store's trouble is worth a line in the log.
type troubleLog struct {
	said   string // the trouble that was logged last; "" since it ended
	saidAt time.Time
}

// troubleLine is what to log.
type troubleLine int

const (
	troubleNothing troubleLine = iota
	troubleBegan               // or changed, or lasts
	troubleEnded
)

func (t *troubleLog) note(now time.Time, trouble string) troubleLine {
	since := now.Sub(t.saidAt)
	switch {
	case trouble == "" && t.said != "":
		t.said = ""
		return troubleEnded
	case trouble == "":
		return troubleNothing
	case t.saidAt.IsZero(), trouble != t.said && since >= troublePause, since >= troubleRepeat:
		t.said, t.saidAt = trouble, now
		return troubleBegan
	}
	return troubleNothing
}

// watchTrouble logs the store's trouble until ctx ends.
func watchTrouble(ctx context.Context, stats func() store.Stats, logger *zap.Logger) {
	var seen troubleLog
	ticker := time.NewTicker(troubleInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			trouble := stats().Trouble
			switch seen.note(now, trouble) {
			case troubleBegan:
				logger.Warn("The store is in trouble: it refuses or delays what comes in", zap.String("trouble", trouble))
			case troubleEnded:
				logger.Info("The store is well again")
			case troubleNothing:
			}
		}
	}
}
