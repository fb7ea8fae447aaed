package queryextension

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

func TestTimes(t *testing.T) {
	for text, want := range map[string]uint64{
		"":                               0,
		"17":                             17,
		"18446744073709551615":           1<<64 - 1,
		"1970-01-01T00:00:00.000000017Z": 17,
		"1970-01-01T01:00:01+01:00":      1_000_000_000,
		"2261-12-31T23:59:59Z":           9_214_646_399_000_000_000,
	} {
		got, err := timeOf(&http.Request{URL: &url.URL{RawQuery: url.Values{"start": {text}}.Encode()}}, "start")
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

// FuzzQueries sends any query string to the calls that read many parameters:
// it is answered, or refused with a reason.
func FuzzQueries(f *testing.F) {
	s := newFaulty()
	require.NoError(f, s.Write(f.Context(), native("pay", "n1", "e1")))
	var running streams
	running.open()
	defer running.close()
	a := &api{
		cfg: testConfig(), store: s, hot: &hot{}, searches: newGate(1), streams: &running, now: time.Now, logger: zap.NewNop(),
		record: func(context.Context, string, string, int, time.Duration) {},
	}
	handler := a.handler()
	paths := []string{
		"/api/v1/search", "/api/v1/processes/%3C0.83.0%3E/timeline", "/api/v1/state/%3C0.83.0%3E",
		"/api/v1/edges", "/api/v1/graph", "/api/v1/events/e1/chain", storedSpan + "/chain", "/api/v1/correlations/c",
	}
	f.Add("start=2020-01-01T00:00:00Z&end=1800000000000000000&types=other,message_flow&min_confidence=0.5")
	f.Add("event=e1&service=pay&node=n1&format=svg&direction=causes&depth=1&limit=7")
	f.Add("trace=0a000000000000000000000000000007&span=0000000000000009")
	f.Add("q=%7B%20name%20%3D~%20%22s.*%22%20%7D%20%7C%20count()%20%3E%200&limit=1&explain=true")
	f.Add("q=%7B%7D&format=dot&start=17")
	f.Add("at=17&service=pay&cursor=AAAA")
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range paths {
			req := httptest.NewRequest("GET", path, nil)
			req.URL.RawQuery = query
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, req)
			switch answer.Code {
			case http.StatusOK:
			case http.StatusBadRequest, http.StatusNotFound:
				require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"))
			default:
				t.Fatalf("%s?%s is answered %d: %s", path, query, answer.Code, answer.Body)
			}
		}
	})
}
