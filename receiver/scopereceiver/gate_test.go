package scopereceiver

import (
	"context"
	"net/http"
	"net/http/httptest"
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

// newGate returns a gate whose requests had 1000 bytes lately, with room for
// three of them, and its count of refusals.
func newGate() (g *gate, refused *int) {
	refused = new(int)
	g = &gate{
		full:    func(int64) bool { return false },
		refused: func() { *refused++ },
		budget:  3 * 1000 * (1 + decodedFactor),
	}
	g.size.Store(1000)
	return g, refused
}

func TestTheGateBoundsWhatIsBeingReceived(t *testing.T) {
	g, refused := newGate()
	var places []*place
	for range 3 {
		p, err := g.enter()
		require.NoError(t, err)
		places = append(places, p)
	}
	_, err := g.enter()
	require.ErrorIs(t, err, errBusy)
	require.Equal(t, 1, *refused)
	places[0].leave()
	places[0].leave()
	p, err := g.enter()
	require.NoError(t, err, "one place is free")
	_, err = g.enter()
	require.ErrorIs(t, err, errBusy, "and only one")

	arrived(context.WithValue(t.Context(), placeKey{}, p), 17_000)
	require.EqualValues(t, 2000, g.size.Load(), "requests have become larger")
	_, err = g.enter()
	require.ErrorIs(t, err, errBusy)
	for range 200 {
		arrived(context.WithValue(t.Context(), placeKey{}, p), 10)
	}
	_, err = g.enter()
	require.NoError(t, err, "they are small again")
	arrived(t.Context(), 1) // of a request that came through no gate
	for _, p := range places {
		p.leave()
	}
}

func TestTheGateAsksTheRing(t *testing.T) {
	g, refused := newGate()
	g.full = func(bytes int64) bool { return bytes == 1000 }
	_, err := g.enter()
	require.ErrorIs(t, err, ring.ErrFull)
	require.Equal(t, 1, *refused)
	require.Zero(t, g.receiving.Load())
}

func TestSlowClientsLoseTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		for range 3 {
			_, err := g.enter()
			require.NoError(t, err)
		}
		time.Sleep(receiveTime + time.Second)
		synctest.Wait()
		require.Zero(t, g.receiving.Load())
	})
}

func TestTheGateAnswersInTheRequestsEncoding(t *testing.T) {
	g, _ := newGate()
	wrap, err := g.GetHTTPHandler(t.Context())
	require.NoError(t, err)
	handler, err := wrap(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.EqualValues(t, 1, g.receiving.Load())
		arrived(r.Context(), 1000)
		require.Zero(t, g.receiving.Load())
		w.WriteHeader(http.StatusNoContent)
	}))
	require.NoError(t, err)
	ask := func(contentType string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/v1/traces", nil)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, http.StatusNoContent, ask("application/json").Code)
	require.Zero(t, g.receiving.Load(), "given back once")

	g.full = func(int64) bool { return true }
	w := ask("application/json; charset=utf-8")
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Contains(t, []string{"1", "2"}, w.Header().Get("Retry-After"))
	require.JSONEq(t, `{"code":8,"message":"the ring is full"}`, w.Body.String())
	w = ask("application/x-protobuf")
	require.Equal(t, "application/x-protobuf", w.Header().Get("Content-Type"))
	var status spb.Status
	require.NoError(t, proto.Unmarshal(w.Body.Bytes(), &status))
	require.EqualValues(t, 8, status.Code)

	g.full, g.budget = func(int64) bool { return false }, 0
	require.Equal(t, http.StatusTooManyRequests, ask("application/json").Code)
}

type statusHost struct {
	component.Host
	reported []componentstatus.Status
}

func (h *statusHost) Report(e *componentstatus.Event) { h.reported = append(h.reported, e.Status()) }

func TestTheGatedHost(t *testing.T) {
	inner := &statusHost{Host: hubtest.NewHost(hubtest.NewHub(nil))}
	g, _ := newGate()
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
