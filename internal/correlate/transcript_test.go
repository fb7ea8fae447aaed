package correlate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestTranscripts runs testdata/transcripts. Commands:
//
//	new [entries=N] [bytes=N] [window=SECONDS] [late=N]
//	batch [now=SECONDS]    observations, one a line, see parse; prints what
//	                       their spans shall carry
//	stats
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		b, now := newBench(testConfig()), 0
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				c := testConfig()
				window, bytes := 60, 1<<30
				for name, to := range map[string]*int{"entries": &c.MaxEntries, "bytes": &bytes, "window": &window, "late": &c.MaxLate} {
					if d.HasArg(name) {
						d.ScanArgs(t, name, to)
					}
				}
				c.Window, c.MaxBytes = time.Duration(window)*time.Second, int64(bytes)
				b, now = newBench(c), 0
			case "batch":
				if d.HasArg("now") {
					d.ScanArgs(t, "now", &now)
				}
				return b.observe(t, seconds(float64(now)), strings.Split(d.Input, "\n")...)
			case "stats":
				s := b.Stats()
				return fmt.Sprintf("%+v\nevicted: %d unmatched causes, %d unmatched effects, %d early\n", s.Live, s.EvictedOffers, s.EvictedClaims, s.EvictedEarly)
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			return ""
		})
	})
}
