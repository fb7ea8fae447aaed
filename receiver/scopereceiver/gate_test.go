package scopereceiver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configmiddleware"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/ring"
)

// testGate returns a gate whose requests had 1000 bytes lately, with room for
// three of them in a ring for eighteen, and its count of refusals.
func testGate() (g *gate, refused *int) {
	refused = new(int)
	g = newGate(func(uint64, int64, int64) bool { return false }, func() { *refused++ }, newSenders(), new(atomic.Int64), 6*3*1000)
	g.size.Store(1000)
	return g, refused
}

func (g *gate) try(t *testing.T) (*place, error) { return g.enter(t.Context(), "x", -1, false) }

// idle reports whether nothing is being received.
func (g *gate) idle() bool {
	if !g.memory.TryAcquire(g.most) {
		return false
	}
	g.memory.Release(g.most)
	return true
}

func TestTheGateBoundsWhatIsBeingReceived(t *testing.T) {
	g, _ := testGate()
	var places []*place
	for range 3 {
		p, err := g.try(t)
		require.NoError(t, err)
		places = append(places, p)
	}
	_, err := g.try(t)
	require.ErrorIs(t, err, errBusy)
	places[0].leave()
	places[0].leave()
	p, err := g.try(t)
	require.NoError(t, err, "one place is free")
	_, err = g.try(t)
	require.ErrorIs(t, err, errBusy, "and only one")

	arrived(context.WithValue(t.Context(), placeKey{}, p), 7, 17_000)
	require.EqualValues(t, 7, g.senders.last("x"))
	require.EqualValues(t, 2000, g.size.Load(), "requests have become larger")
	_, err = g.try(t)
	require.ErrorIs(t, err, errBusy)
	p, err = g.enter(t.Context(), "x", 100, false)
	require.NoError(t, err, "one that says how large it is")
	arrived(context.WithValue(t.Context(), placeKey{}, p), 7, 2300)
	require.EqualValues(t, 800, g.expected(100), "it came to more than others of its length")
	require.EqualValues(t, 18_000, g.expected(10_000), "all of the ring")
	require.EqualValues(t, 20_000, g.expected(20_000), "and more")
	arrived(t.Context(), 7, 1) // of a request that came through no gate
	places[1].leave()
	_, err = g.enter(t.Context(), "x", 1<<40, false)
	require.ErrorIs(t, err, errBusy)
}

func TestAHugeRequestTakesTheWholeGate(t *testing.T) {
	g, _ := testGate()
	p, err := g.enter(t.Context(), "x", 1<<40, false)
	require.NoError(t, err)
	_, err = g.enter(t.Context(), "y", 1, false)
	require.ErrorIs(t, err, errBusy)
	p.leave()
	require.True(t, g.idle())
}

func TestWaitingForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGate()
		full := false
		g.full = func(client uint64, _, _ int64) bool { return full && client == 7 }
		g.senders.sent("hog", 7)
		p, err := g.enter(t.Context(), "x", 1<<40, true)
		require.NoError(t, err)
		got := map[string]chan error{"hog": make(chan error, 1), "other": make(chan error, 1)}
		for _, from := range []string{"hog", "other"} {
			go func() {
				p, err := g.enter(t.Context(), from, 1, true)
				if err == nil {
					p.leave()
				}
				got[from] <- err
			}()
			synctest.Wait()
		}
		full = true
		p.leave()
		synctest.Wait()
		require.ErrorIs(t, <-got["hog"], ring.ErrFull, "the ring has filled meanwhile")
		require.NoError(t, <-got["other"])
		require.True(t, g.idle())

		p, err = g.enter(t.Context(), "x", 1<<40, true)
		require.NoError(t, err)
		_, err = g.enter(t.Context(), "y", 1, true)
		require.ErrorIs(t, err, errBusy, "after enterTime")
		p.leave()
	})
}

func TestTheGateAsksTheRing(t *testing.T) {
	g, _ := testGate()
	g.full = func(client uint64, bytes, ahead int64) bool { return client == 7 && bytes == 1000 && ahead == 1000 }
	g.senders.sent("x", 7)
	p, err := g.enter(t.Context(), "y", -1, false)
	require.NoError(t, err)
	_, err = g.try(t)
	require.ErrorIs(t, err, ring.ErrFull)
	p.leave()
	require.True(t, g.idle())
	require.Zero(t, g.ahead.Load())
}

func TestSlowClientsLoseTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGate()
		for range 3 {
			_, err := g.try(t)
			require.NoError(t, err)
		}
		time.Sleep(receiveTime + time.Second)
		synctest.Wait()
		require.True(t, g.idle())
	})
}

func TestTheGateAnswersInTheRequestsEncoding(t *testing.T) {
	g, refused := testGate()
	wrap, err := g.GetHTTPHandler(t.Context())
	require.NoError(t, err)
	handler, err := wrap(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.False(t, g.idle())
		arrived(r.Context(), 7, 1000)
		require.True(t, g.idle())
		w.WriteHeader(http.StatusNoContent)
	}))
	require.NoError(t, err)
	ask := func(contentType string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/v1/traces", strings.NewReader("body"))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, http.StatusNoContent, ask("application/json").Code)
	require.True(t, g.idle(), "given back once")

	g.full = func(uint64, int64, int64) bool { return true }
	w := ask("application/json; charset=utf-8")
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Contains(t, []string{"1", "2"}, w.Header().Get("Retry-After"))
	require.JSONEq(t, `{"code":8,"message":"the ring is full"}`, w.Body.String())
	w = ask("application/x-protobuf")
	require.Equal(t, "application/x-protobuf", w.Header().Get("Content-Type"))
	var status spb.Status
	require.NoError(t, proto.Unmarshal(w.Body.Bytes(), &status))
	require.EqualValues(t, 8, status.Code)

	require.Equal(t, 2, *refused)
}

type statusHost struct {
	component.Host
	reported []componentstatus.Status
}

func (h *statusHost) Report(e *componentstatus.Event) { h.reported = append(h.reported, e.Status()) }

func TestTheGatedHost(t *testing.T) {
	inner := &statusHost{Host: hubtest.NewHost(hubtest.NewHub(nil))}
	g, _ := testGate()
	h := gatedHost{inner, component.MustNewIDWithName("scope", "gate"), g}
	require.Len(t, h.GetExtensions(), 2)
	require.Len(t, inner.GetExtensions(), 1, "the others do not see it")
	componentstatus.ReportStatus(h, componentstatus.NewEvent(componentstatus.StatusOK))
	require.Equal(t, []componentstatus.Status{componentstatus.StatusOK}, inner.reported)
	others := []configmiddleware.Config{{ID: component.MustNewID("other")}}
	require.Equal(t, []configmiddleware.Config{{ID: h.id}, others[0]}, h.behind(others))
	inner.Host = hubtest.Host(nil)
	require.Len(t, h.GetExtensions(), 1)
}
