package pressureprocessor

import (
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/sample"
)

func TestReadState(t *testing.T) {
	for raw, want := range map[string]struct{ number, threshold uint64 }{
		"":                               {0x22334455667788, 0},
		"ot=rv:00000000000001":           {1, 0},
		"ot=th:8":                        {0x22334455667788, 0x80000000000000},
		"a=b,ot=th:c;rv:fffffffffffffff": {0x22334455667788, 0}, // 15 digits: it is none
		"ot=rv:fffffffffffffe;th:0":      {0xfffffffffffffe, 0},
		",":                              {0x22334455667788, 0},
		"=":                              {0x22334455667788, 0},
	} {
		span := ptrace.NewSpan()
		span.SetTraceID([16]byte{9, 9, 9, 9, 9, 9, 9, 9, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88})
		span.TraceState().FromRaw(raw)
		number, threshold := readState(span)
		require.Equal(t, want.number, number, raw)
		require.Equal(t, want.threshold, threshold, raw)
	}
}

func TestAThresholdThatNothingReachesIsNotWritten(t *testing.T) {
	require.Equal(t, "a=1", withThreshold("a=1", sample.Numbers))
}

// FuzzState: what is written is a tracestate that has the threshold, and all
// that the old one had beside.
func FuzzState(f *testing.F) {
	for _, raw := range []string{"", "ot=th:8", "ot=rv:00000000000001;th:c,a=b", "a=b,c=d", "ot=x:y", "=,", " ,\t", "ot=", "ot=th:"} {
		f.Add(raw, uint64(1)<<55)
	}
	f.Fuzz(func(t *testing.T, raw string, threshold uint64) {
		threshold %= sample.Numbers
		span := ptrace.NewSpan()
		span.TraceState().FromRaw(raw)
		number, _ := readState(span)
		written := withThreshold(raw, threshold)
		span.TraceState().FromRaw(written)
		after, got := readState(span)
		old, err := sampling.NewW3CTraceState(raw)
		if written == raw && got != threshold { // there was no room
			require.NoError(t, err)
			return
		}
		require.Equal(t, threshold, got, written)
		if err == nil {
			require.Equal(t, number, after)
			parsed, err := sampling.NewW3CTraceState(written)
			require.NoError(t, err)
			require.Equal(t, old.ExtraValues(), parsed.ExtraValues())
			require.Equal(t, old.OTelValue().ExtraValues(), parsed.OTelValue().ExtraValues())
		}
		span.TraceState().FromRaw(withoutThreshold(written))
		_, got = readState(span)
		require.Zero(t, got)
		require.False(t, strings.Contains(span.TraceState().AsRaw(), "th:") && err != nil)
	})
}
