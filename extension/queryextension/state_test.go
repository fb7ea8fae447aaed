package queryextension

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func became(entity, from, to string, version int64) func(ptrace.Span) {
	return func(span ptrace.Span) {
		a := span.Attributes()
		a.PutStr(causal.AttrEventKind, "state")
		a.PutStr(causal.AttrEntityID, entity)
		a.PutStr(causal.AttrStateFrom, from)
		a.PutStr(causal.AttrStateTo, to)
		if version > 0 {
			a.PutInt(causal.AttrEntityVersion, version)
		}
	}
}

// sold is the store of an order that was paid, sent and lost.
func sold(t *testing.T) *faulty {
	s := newFaulty()
	write(t, s,
		did("n1", "p", "pay", 1, 1_000_000_000, became("order/17", "new", "paid", 2)),
		did("n1", "p", "send", 2, 2_000_000_000, became("order/17", "paid", "sent", 3), causedBy(1)),
		did("n2", "q", "lose", 3, 3_000_000_000, became("order/17", "", "lost", 0)),
		did("n2", "q", "own", 4, 3_000_000_000, became("", "", "idle", 0)),
		native("pay", "", "same", became("order/18", "", "open", 0)),
		did("n1", "p", "same too", 5, 4, became("order/18", "", "shut", 0)),
	)
	return s
}

func (a stateJSON) brief() string {
	state := "?"
	if a.State != nil {
		state = *a.State
	}
	texts := []string{state + "@" + a.Since}
	for _, t := range a.History {
		text := t.From + ">" + t.To + ":" + t.Span.brief()
		for _, e := range t.Causes {
			text += "<" + e.Cause.brief()
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

func TestState(t *testing.T) {
	c := serving(t, sold(t))
	const path = "/api/v1/state/order%2F17"
	for query, want := range map[string]string{
		"":                         "lost@3000000000 new>paid:pay paid>sent:send<pay >lost:lose",
		"?service=shop":            "lost@3000000000 new>paid:pay paid>sent:send<pay >lost:lose",
		"?at=1970-01-01T00:00:02Z": "sent@2000000000 new>paid:pay paid>sent:send<pay",
		"?at=1999999999":           "paid@1000000000 new>paid:pay",
		"?at=999999999":            "new@",
		"?limit=1000&types=other":  "lost@3000000000 new>paid:pay paid>sent:send >lost:lose",
	} {
		var got stateJSON
		c.get(t, path+query).into(t, &got)
		require.Equal(t, want, got.brief(), query)
		require.Equal(t, []string{"order/17", "shop", ""}, []string{got.Entity, got.Service, got.Node})
		require.False(t, got.Truncated)
	}

	var got stateJSON
	before := time.Now()
	c.get(t, path).into(t, &got)
	require.GreaterOrEqual(t, got.At, nanoseconds(uint64(before.UnixNano())))
	require.Equal(t, "lose", got.Span.EventID)
	require.EqualValues(t, 3, got.History[1].Version)
	require.Nil(t, got.History[2].Version)
	require.Equal(t, storetest.SpanID(3).String(), got.History[2].Span.SpanID)

	got = stateJSON{}
	c.get(t, path+"?at=7").into(t, &got)
	require.Equal(t, "7", got.At)
	require.Nil(t, got.Span)
	require.NotNil(t, got.History)

	var last, earlier stateJSON
	c.get(t, path+"?limit=2").into(t, &last)
	require.Equal(t, "lost@3000000000 paid>sent:send<pay >lost:lose", last.brief())
	require.True(t, last.Truncated)
	c.get(t, path+"?limit=2&cursor="+last.Cursor).into(t, &earlier)
	require.Equal(t, "lost@3000000000 new>paid:pay", earlier.brief())
	require.False(t, earlier.Truncated)
}

// TestStateOfAProcess: a process is the entity of its own state events.
func TestStateOfAProcess(t *testing.T) {
	c := serving(t, sold(t))
	var got stateJSON
	c.get(t, "/api/v1/state/q?at=1970-01-01T00:00:03Z").into(t, &got)
	require.Equal(t, "idle@3000000000 >idle:own", got.brief())
	require.Equal(t, "n2", got.Node)

	c.get(t, "/api/v1/state/q?at=1").into(t, &got)
	require.Nil(t, got.State)
}

// TestStateNowIsTheLast: a clock that is ahead makes no state unknown.
func TestStateNowIsTheLast(t *testing.T) {
	s := newFaulty()
	ahead := uint64(time.Now().Add(time.Hour).UnixNano())
	write(t, s, did("n1", "p", "pay", 1, ahead, became("o", "new", "paid", 0)))
	var got stateJSON
	serving(t, s).get(t, "/api/v1/state/o").into(t, &got)
	require.Equal(t, "paid", *got.State)
	require.Equal(t, nanoseconds(ahead), got.At)
}

func TestStateProblems(t *testing.T) {
	c := serving(t, sold(t))
	p := c.get(t, "/api/v1/state/order%2F18").problem(t, http.StatusConflict)
	require.Equal(t, []placeJSON{{"pay", ""}, {"shop", ""}}, p.Candidates)
	for query, want := range map[string]struct {
		status            int
		parameter, detail string
	}{
		"order%2F19":                 {404, "entity", `no state of "order/19" is stored`},
		"order%2F17?service=pay":     {404, "entity", `no state of "order/17" is stored for this service`},
		"order%2F17?at=today":        {400, "at", `"today" is no time`},
		"order%2F17?types=magic":     {400, "types", `"magic" is no type of edges`},
		"order%2F17?limit=0":         {400, "limit", `"0" is not allowed: must be a number from 1 to 1000`},
		"order%2F17?cursor=x":        {400, "cursor", `cursor "x" is not one that this call gave`},
		"order%2F17?min_confidence=": {200, "", ""},
	} {
		if want.status == http.StatusOK {
			require.Equal(t, http.StatusOK, c.get(t, "/api/v1/state/"+query).status)
			continue
		}
		p := c.get(t, "/api/v1/state/"+query).problem(t, want.status)
		require.Equal(t, want.parameter, p.Parameter, query)
		require.Contains(t, p.Detail, want.detail, query)
	}
	small := serving(t, sold(t), func(cfg *Config) { cfg.Query.MaxBytes = 10 })
	p = small.get(t, "/api/v1/state/order%2F17").problem(t, http.StatusUnprocessableEntity)
	require.Contains(t, p.Detail, "allowed are 10B (query::max_bytes of the extension)")
}
