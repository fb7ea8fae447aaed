package scopereceiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/proto"

	scopev1 "github.com/otelscope/otelscope/proto/scope/v1"
)

// protoEvent encodes a scope.v1.EventsRequest of one mark.
func protoEvent(t *testing.T, id, kind string) string {
	body, err := proto.Marshal(&scopev1.EventsRequest{Events: []*scopev1.Event{
		{Id: id, Kind: kind, TimeUnixNano: 1700000000000000000, Process: "p-" + id, Name: "tick"},
	}})
	require.NoError(t, err)
	return string(body)
}

func compressed(t *testing.T, encoding, body string) string {
	var b bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		var err error
		w, err = zstd.NewWriter(&b)
		require.NoError(t, err)
	}
	_, err := io.WriteString(w, body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestEventsOverEachFormat(t *testing.T) {
	r := start(t, testConfig(t), nil)
	for _, c := range []struct {
		name, body string
		want       []string
		headers    []string
	}{
		{"ndjson", mark("nd1") + mark("nd2"), []string{"nd1", "nd2"}, nil},
		{"json object", mark("js1"), []string{"js1"}, []string{"Content-Type", "application/json; charset=utf-8"}},
		{"json array", "[" + mark("js2") + "," + mark("js3") + "]", []string{"js2", "js3"}, []string{"Content-Type", "application/json"}},
		{"protobuf", protoEvent(t, "pb1", "mark"), []string{"pb1"}, []string{"Content-Type", "application/x-protobuf"}},
		{"gzip", compressed(t, "gzip", mark("gz1")), []string{"gz1"}, []string{"Content-Encoding", "gzip"}},
		{"zstd", compressed(t, "zstd", mark("zs1")), []string{"zs1"}, []string{"Content-Encoding", "zstd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := r.post(c.body, c.headers...)
			require.Equal(t, http.StatusOK, got.status, got.text)
			require.Equal(t, len(c.want), got.Accepted)
			require.Equal(t, []rejectedEvent{}, got.Rejected)
			require.Subset(t, r.pipeline.names(), c.want)
		})
	}
	empty := r.post("")
	require.Equal(t, http.StatusOK, empty.status)
	require.JSONEq(t, `{"accepted":0,"rejected":[]}`, empty.text)
}

// The rows of the contract's table of answers.
func TestAnswers(t *testing.T) {
	r := start(t, testConfig(t), nil)

	some := r.post(mark("a1") + `{"kind":"cal","time":1,"process":"p","id":"e9"}` + "\n" + mark("a2"))
	require.Equal(t, http.StatusOK, some.status)
	require.Equal(t, 2, some.Accepted)
	require.Len(t, some.Rejected, 1)
	require.Equal(t, 1, some.Rejected[0].Index)
	require.Equal(t, "e9", some.Rejected[0].ID)
	require.Contains(t, some.Rejected[0].Error, `kind: unknown kind "cal"`)
	require.Equal(t, 1, r.letters.stats().Count, "kept before the answer")

	none := r.post(`{"kind":"cal","time":1,"process":"p"}`)
	require.Equal(t, http.StatusBadRequest, none.status)
	require.Zero(t, none.Accepted)
	require.Len(t, none.Rejected, 1)

	broken := r.post(mark("a3") + `{"kind":`)
	require.Equal(t, http.StatusBadRequest, broken.status)
	require.NotEmpty(t, broken.Error)
	require.NotNil(t, broken.Offset)
	require.NotContains(t, r.pipeline.names(), "a3", "a body that cannot be split is not taken in part")

	r.pipeline.set(func(ptrace.Traces) error { return errors.New("not now") })
	later := r.post(mark("a4"))
	require.Equal(t, http.StatusServiceUnavailable, later.status)
	require.Contains(t, later.Error, "not now")
	require.Contains(t, []string{"1", "2"}, later.retryAfter)
	r.pipeline.set(nil)
	again := r.post(mark("a4"))
	require.Equal(t, http.StatusOK, again.status)

	for _, c := range []struct{ method, path string }{{"GET", ""}, {"PUT", ""}, {"POST", "/"}, {"POST", "s"}} {
		got := r.request(c.method, r.events+c.path, strings.NewReader(mark("a5")))
		if c.path == "" {
			require.Equal(t, http.StatusMethodNotAllowed, got.status)
			require.Contains(t, got.Error, "POST /v1/events")
		} else {
			require.Equal(t, http.StatusNotFound, got.status)
			require.Contains(t, got.Error, "/v1/events")
		}
	}
}

func TestBadInput(t *testing.T) {
	cfg := testConfig(t)
	cfg.Protocols.Events.Get().MaxRequestBodySize = 1 << 20
	r := start(t, cfg, nil)
	zipped := compressed(t, "gzip", mark("z"))
	bad := func(fields string) string {
		return `{"kind":"mark","time":"1700000000000000000","process":"p","name":"n",` + fields + `}`
	}
	for _, c := range []struct {
		name, body string
		status     int
		want       string
		headers    []string
	}{
		{"wrong type", bad(`"service":5`), 400, "service", nil},
		{"unknown field", bad(`"proces":"p"`), 400, "proces", nil},
		{"unknown kind", `{"kind":"cal","time":1,"process":"p"}`, 400, `unknown kind \"cal\"`, nil},
		{"truncated json", mark("t")[:40], 400, "offset", nil},
		{"truncated gzip", zipped[:len(zipped)/2], 400, "cannot be read", []string{"Content-Encoding", "gzip"}},
		{"no gzip at all", mark("g"), 400, "gzip", []string{"Content-Encoding", "gzip"}},
		{"unknown encoding", mark("u"), 400, "unsupported Content-Encoding", []string{"Content-Encoding", "rot13"}},
		{"wrong content type", mark("c"), 415, "application/x-ndjson, application/json, application/x-protobuf", []string{"Content-Type", "text/plain"}},
		{"no content type", mark("c"), 415, "application/x-ndjson", []string{"Content-Type", ""}},
		{"oversized", strings.Repeat(mark("o"), 20000), 413, "max_request_body_size, 1048576 bytes", nil},
		{"bomb", compressed(t, "gzip", strings.Repeat(" ", 50<<20)), 413, "max_request_body_size, 1048576 bytes", []string{"Content-Encoding", "gzip"}},
		{"nesting", bad(`"attributes":{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`), 400, "", nil},
		{"invalid utf-8", bad("\"service\":\"\xff\xfe\""), 400, "", nil},
		{"negative time", strings.Replace(mark("n"), `"time":"`, `"time":"-`, 1), 400, "time", nil},
		{"absurd time", `{"kind":"mark","time":"9e400","process":"p","name":"n"}`, 400, "time", nil},
		{"far time", `{"kind":"mark","time":"2400-01-01T00:00:00Z","process":"p","name":"n"}`, 400, "time", nil},
		{"duplicate keys", bad(`"name":"m"`), 400, "name", nil},
		{"duplicate attribute", bad(`"attributes":{"a":1,"a":2}`), 400, "a", nil},
		{"all invalid", strings.Repeat(`{"kind":"cal"}`+"\n", 50), 400, "rejected", nil},
		{"garbage", "\x00\x01\x02", 400, "offset", nil},
		{"garbage as protobuf", "\xff\xff\xff", 400, "offset", []string{"Content-Type", "application/x-protobuf"}},
		{"a number", "42", 400, "", []string{"Content-Type", "application/json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := r.post(c.body, c.headers...)
			require.Equal(t, c.status, got.status, got.text)
			require.Contains(t, got.text, c.want)
			require.Less(t, len(got.text), 20000)
			r.requireGood("after " + c.name)
		})
	}
}

func TestDuplicateIDs(t *testing.T) {
	r := start(t, testConfig(t), nil)
	one := at("p", "same", "mark", 1, `"name":"n"`)
	got := r.post(one + one + at("p", "same", "mark", 2, `"name":"n"`))
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, 3, got.Accepted)
	require.Equal(t, []string{"same", "same"}, r.pipeline.names(), "an id is an event's only together with its time")
}

func TestHugeBody(t *testing.T) {
	r := start(t, testConfig(t), nil)
	// The server answers and closes before the client has sent everything, so
	// the client sees the answer or a broken connection.
	got, err := send(http.MethodPost, r.events, io.LimitReader(spaces{}, 1<<30))
	if err == nil {
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
	}
	r.requireGood("after huge")
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestSlowClient(t *testing.T) {
	cfg := testConfig(t)
	events := cfg.Protocols.Events.Get()
	events.ReadHeaderTimeout, events.ReadTimeout = 50*time.Millisecond, 50*time.Millisecond
	r := start(t, cfg, nil)
	for _, text := range []string{
		"POST /v1/events HTTP/1.1\r\nHost: x\r\n",
		"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
	} {
		conn, err := net.Dial("tcp", events.NetAddr.Endpoint)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		answer, err := io.ReadAll(conn) // ends because the server hangs up
		require.NoError(t, err)
		if len(answer) > 0 {
			require.Contains(t, string(answer), "HTTP/1.1 400 Bad Request")
		}
	}
	r.requireGood("after slow")
}

func TestTooManyBodiesAtOnce(t *testing.T) {
	cfg := testConfig(t)
	r := start(t, cfg, nil)
	s := r.server.Handler
	require.NotNil(t, s)
	// A body that stays open holds its share; the limit is over all of them.
	e := &eventsServer{feed: r.feed, letters: r.letters, counts: r.counts, maxReading: 100 << 10}
	var first, second bytes.Buffer
	held, err := e.read(&first, strings.NewReader(strings.Repeat("x", 10)))
	require.NoError(t, err)
	_, err = e.read(&second, strings.NewReader("y"))
	require.ErrorIs(t, err, errBusy)
	p := e.readProblem(err)
	require.Equal(t, http.StatusTooManyRequests, p.status)
	require.GreaterOrEqual(t, p.after, time.Second)
	e.reading.Add(-held)
}

func TestResend(t *testing.T) {
	r := start(t, testConfig(t), nil)
	bodies := []string{
		at("p1", "c1", "call", 1, `"name":"f"`) + at("p1", "m1", "send", 2, `"name":"order","peer":"p2"`),
		at("p2", "m2", "receive", 3, `"name":"order","peer":"p1"`),
		at("p1", "r1", "return", 4, `"name":"f"`) + mark("late"),
	}
	for _, body := range bodies {
		require.Equal(t, http.StatusOK, r.post(body).status)
	}
	before := r.pipeline.names()
	stats := r.handler.stats()
	for range 3 {
		for _, body := range bodies {
			got := r.post(body)
			require.Equal(t, http.StatusOK, got.status, got.text)
			require.Equal(t, strings.Count(body, "\n"), got.Accepted)
		}
	}
	require.Equal(t, before, r.pipeline.names(), "nothing is handed on twice")
	after := r.handler.stats()
	require.Equal(t, int64(15), after.Duplicates)
	after.Duplicates = stats.Duplicates
	require.Equal(t, stats, after, "no stack, queue or count moved")
	require.Equal(t, "returned", r.pipeline.state["c1"])
}

// A request that failed half-way is sent again as a whole: what was taken is
// recognised, what was not is taken now, and calls find their returns.
func TestResendAfterFailure(t *testing.T) {
	r := start(t, testConfig(t), nil)
	body := ""
	for i := range 50 {
		body += at(fmt.Sprint("w", i), fmt.Sprint("c", i), "call", i, `"name":"f"`)
	}
	calls := 0
	r.pipeline.set(func(td ptrace.Traces) error {
		calls++
		switch {
		case calls <= 3 && contains(td, "c7"):
			return consumererror.NewPermanent(errors.New("cannot be stored"))
		case calls > 3:
			return errors.New("not now")
		}
		return nil
	})
	require.Equal(t, http.StatusServiceUnavailable, r.post(body).status)
	r.pipeline.set(nil)
	got := r.post(body)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, 50, got.Accepted)
	names := r.pipeline.names()
	require.Len(t, names, 50)
	for i := range 50 {
		require.Contains(t, names, fmt.Sprint("c", i))
	}
	require.Equal(t, 50, r.handler.stats().OpenCalls)
}

func TestBufferedAnswersAtOnce(t *testing.T) {
	cfg := testConfig(t)
	cfg.Acknowledge = acknowledgeBuffered
	r := start(t, cfg, nil)
	hold := make(chan struct{})
	r.pipeline.set(func(ptrace.Traces) error { <-hold; return nil })
	require.Equal(t, http.StatusOK, r.post(mark("b1")).status)
	require.Empty(t, r.pipeline.names())
	close(hold)
	require.Eventually(t, func() bool { return len(r.pipeline.names()) == 1 }, time.Minute, time.Millisecond)
}

func TestStoredGivesUpInTime(t *testing.T) {
	cfg := testConfig(t)
	cfg.Timeout = 100 * time.Millisecond
	r := start(t, cfg, nil)
	hold := make(chan struct{})
	r.pipeline.set(func(ptrace.Traces) error { <-hold; return nil })
	got := r.post(mark("g1"))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Contains(t, got.Error, errTimeout.Error())
	require.NotEmpty(t, got.retryAfter)
	close(hold)
	require.Eventually(t, func() bool { return r.post(mark("g2")).status == http.StatusOK }, time.Minute, time.Millisecond)
	require.Contains(t, r.pipeline.names(), "g1", "the work went on")
}

func TestDeadLettersCannotBeWritten(t *testing.T) {
	r := start(t, testConfig(t), nil)
	require.NoError(t, r.letters.log.Close())
	got := r.post(mark("d1") + `{"kind":"cal"}`)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Contains(t, got.Error, errLetters.Error())
	require.NotEmpty(t, got.retryAfter)
	r.requireGood("d2")

	r.pipeline.set(func(ptrace.Traces) error { return consumererror.NewPermanent(context.Canceled) })
	require.Equal(t, http.StatusServiceUnavailable, r.post(mark("d3")).status, "neither handed on nor kept: the client has to come again")
}
