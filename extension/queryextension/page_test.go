package queryextension

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/net/html"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
)

// page returns what is shown at path, as it is written and as it is read.
func (c *client) page(t *testing.T, path string, status int) (written, read string) {
	t.Helper()
	got := c.get(t, path)
	require.Equal(t, status, got.status, string(got.body))
	require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
	require.Equal(t, pagePolicy, got.header.Get("Content-Security-Policy"))
	require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
	written = string(got.body)
	require.True(t, strings.HasSuffix(strings.TrimSpace(written), "</html>"))
	return written, textOf(t, written)
}

// textOf is what a reader reads of a page, with single blanks, and "|" between
// the cells of tables. It fails where a page could run something.
func textOf(t *testing.T, written string) string {
	t.Helper()
	var b strings.Builder
	for z, skip := html.NewTokenizer(strings.NewReader(written)), ""; ; {
		switch z.Next() {
		case html.ErrorToken:
			require.ErrorIs(t, z.Err(), io.EOF)
			return strings.Join(strings.Fields(b.String()), " ")
		case html.TextToken:
			if skip == "" {
				b.Write(z.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			require.NotContains(t, []string{"script", "iframe", "object", "embed", "img", "base"}, token.Data)
			for _, a := range token.Attr {
				require.False(t, strings.HasPrefix(a.Key, "on"), a.Key)
				if a.Key == "href" || a.Key == "action" {
					require.Regexp(t, "^[/?#]", a.Val)
				}
			}
			switch token.Data {
			case "style", "svg", "title":
				if skip == "" {
					skip = token.Data
				}
			case "td", "th":
				b.WriteString("|")
			case "tr", "p", "h1", "h2", "li", "pre", "caption":
				b.WriteString("\n")
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == skip {
				skip = ""
			}
		}
	}
}

// linkTo finds the address that the words lead to.
func linkTo(t *testing.T, written, words string) string {
	t.Helper()
	found := regexp.MustCompile(`<a href="([^"]*)"[^>]*>(?:<span[^>]*>)?` + regexp.QuoteMeta(words) + `<`).FindStringSubmatch(written)
	require.NotNil(t, found, "no link %q", words)
	return html.UnescapeString(found[1])
}

func stamp(t time.Time) pcommon.Timestamp { return pcommon.NewTimestampFromTime(t) }

// began makes a span one that began so long ago.
func began(ago time.Duration, fill ...func(ptrace.Span)) func(ptrace.Span) {
	return func(span ptrace.Span) {
		start := time.Now().Add(-ago)
		span.SetStartTimestamp(stamp(start))
		span.SetEndTimestamp(stamp(start.Add(1234567)))
		for _, f := range fill {
			f(span)
		}
	}
}

// failing makes a span one that failed.
func failing(message string) func(ptrace.Span) {
	return func(span ptrace.Span) {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(message)
	}
}

// numbered gives a span an id of its own.
func numbered(n byte) func(ptrace.Span) {
	return func(span ptrace.Span) { span.SetSpanID(storetest.SpanID(uint64(n))) }
}

func TestPageListsWhatCameInAndWhatFailed(t *testing.T) {
	s := newFaulty()
	write(t, s,
		native("pay", "n1", "e1", began(3*time.Minute), numbered(1)),
		native("pay", "n1", "e2", began(2*time.Minute, failing("card declined")), numbered(2)),
		native("cart", "n2", "e3", began(time.Minute), numbered(3), func(span ptrace.Span) {
			span.SetName("")
			span.Attributes().PutStr("scope.call.state", "open")
			span.Attributes().PutStr("scope.event.kind", "call")
		}),
	)
	written, read := serving(t, s).page(t, "/", http.StatusOK)
	require.Contains(t, read, "Recent failures The latest spans with an error; all of them. Each leads to what caused it and what it led to."+
		" |Began|What|Service|Process|Kind|Took|State |2 min ago|send order|pay|<0.83.0>|send|1.23ms|failed card declined")
	require.Contains(t, read, "What came in lately The spans that began last. |Began|What|Service|Process|Kind|Took|State"+
		" |1 min ago|(no name)|cart|<0.83.0>|call||open"+
		" |2 min ago|send order|pay|<0.83.0>|send|1.23ms|failed card declined"+
		" |3 min ago|send order|pay|<0.83.0>|send|1.23ms|")
	require.Contains(t, read, "Pressure is normal.")
	require.Equal(t, "/chain?span=0000000000000003&trace="+storetest.TraceID(7).String(), linkTo(t, written, "(no name)"))
	require.Equal(t, "/?q="+strings.ReplaceAll("{ status = error }", " ", "%20"), unescaped(linkTo(t, written, "all of them")))
	require.NotContains(t, read, "Nothing is stored")
}

// unescaped undoes what templates escape beyond need.
func unescaped(address string) string {
	return strings.NewReplacer("%7b", "{", "%7d", "}", "%3d", "=").Replace(address)
}

func TestPageOfAnEmptyStore(t *testing.T) {
	_, read := serving(t, newFaulty()).page(t, "/", http.StatusOK)
	for _, want := range []string{"Nothing is stored yet", "make demo", "port 4319", "curl -H", "Oldest data|nothing is stored"} {
		require.Contains(t, read, want)
	}
	for _, no := range []string{"Recent failures", "What came in lately", "TRACE_ID"} {
		require.NotContains(t, read, no)
	}
	s := newFaulty()
	write(t, s, native("pay", "n1", "e1", began(time.Minute)))
	_, read = serving(t, s).page(t, "/", http.StatusOK)
	require.Contains(t, read, "Nothing that is stored has failed.")
}

func TestPageIsSafeFromWhatClientsSend(t *testing.T) {
	const script = `<script>alert(1)</script>`
	long := strings.Repeat("é", 5000)
	s := newFaulty()
	write(t, s,
		native(script, `"onload="x`, `"><img src=x>`, began(time.Second, failing(script+"\xff\x00\u202e")), numbered(1), func(span ptrace.Span) {
			span.SetName(`<a href="javascript:x">` + "\xff")
			span.Attributes().PutStr("scope.process.id", "</td></table><style>*{}</style>")
			span.Attributes().PutStr("scope.event.kind", "<b>")
		}),
		native(long, long, "e2", began(time.Second, failing(long)), numbered(2), func(span ptrace.Span) {
			span.SetName(long)
			span.SetParentSpanID(storetest.SpanID(1))
			span.Attributes().PutStr("scope.event.kind", long)
		}),
	)
	c := serving(t, s)
	written, read := c.page(t, "/", http.StatusOK)
	require.Contains(t, read, `|<a href="javascript:x">`+"\uFFFD|"+script+"|")
	require.Contains(t, read, "|"+strings.Repeat("é", maxShort)+"…|")
	require.Contains(t, written, `title="`+strings.Repeat("é", maxFull)+`…"`)
	require.Less(t, len(written), 60<<10)

	written, read = c.page(t, linkTo(t, written, strings.Repeat("é", maxShort)+"…"), http.StatusOK)
	require.Contains(t, read, `<a href="javascript:x">`+"\uFFFD|"+script+"|")
	require.Less(t, len(written), 60<<10)
	for _, q := range []string{script, `"><script>`, "{ .a = \"\xff\" \n\t" + script} {
		_, read = c.page(t, "/?q="+url.QueryEscape(q), http.StatusBadRequest)
		require.Contains(t, read, "<script>")
	}
}

func TestPageLeavesOutWhatTheCollectorSaysOfItself(t *testing.T) {
	s := newFaulty()
	write(t, s, native("pay", "n1", "e1", began(time.Hour), numbered(1)))
	for n := range byte(3) {
		write(t, s, native("scope-under-test", "n1", "e2", began(time.Minute), numbered(n+2)))
	}
	set := extensiontest.NewNopSettings(metadata.Type)
	set.BuildInfo.Command = "scope-under-test"
	_, read := servingWith(t, s, set).page(t, "/", http.StatusOK)
	require.Contains(t, read, "|pay|")
	require.NotContains(t, read, "|scope-under-test|")

	span := newest(t, s)
	s.selected = func(context.Context, store.Selection) iter.Seq2[store.Span, error] {
		return func(yield func(store.Span, error) bool) {
			for yield(span, nil) {
			}
		}
	}
	_, read = servingWith(t, s, set).page(t, "/", http.StatusOK)
	require.Contains(t, read, "The spans that began last are the collector's own: more than 1000 of them.")
}

// newest returns the span that began last.
func newest(t *testing.T, s store.Store) store.Span {
	for span, err := range s.Select(t.Context(), store.Selection{}) {
		require.NoError(t, err)
		return span
	}
	t.Fatal("nothing is stored")
	return store.Span{}
}

func TestPageIsShownWithoutWhatCannotBeRead(t *testing.T) {
	s := newFaulty()
	write(t, s, native("pay", "n1", "e1", began(time.Minute)))
	span := newest(t, s)
	for want, err := range map[string]error{
		"Reading was given up after 2s: there may be others.":                               context.DeadlineExceeded,
		"The list cannot be read: the store is closed: the collector is stopping":           store.ErrClosed,
		"The list cannot be read: block 7: bad checksum":                                    errors.New("block 7: bad checksum"),
		"The list cannot be read: the request was given up: the client left or the collect": context.Canceled,
	} {
		s.selected = func(context.Context, store.Selection) iter.Seq2[store.Span, error] {
			return func(yield func(store.Span, error) bool) { _ = yield(span, nil) && yield(store.Span{}, err) }
		}
		_, read := serving(t, s).page(t, "/", http.StatusOK)
		require.Equal(t, 2, strings.Count(read, want), read)
		require.Equal(t, 2, strings.Count(read, "|pay|"))
		require.NotContains(t, read, "Nothing that is stored has failed.")
	}
	s.selected = func(context.Context, store.Selection) iter.Seq2[store.Span, error] {
		return func(yield func(store.Span, error) bool) { yield(store.Span{Bytes: []byte{1}}, nil) }
	}
	_, read := serving(t, s).page(t, "/", http.StatusOK)
	require.Contains(t, read, "The list cannot be read: stored span:")
}

func TestPageAsksForWhatBeganUpToNow(t *testing.T) {
	s := newFaulty()
	write(t, s,
		native("ahead", "n1", "e1", began(-30*time.Minute), numbered(1)),
		native("broken", "n1", "e2", numbered(2), func(span ptrace.Span) { span.SetStartTimestamp(math.MaxUint64) }),
		native("timeless", "n1", "e3", numbered(3), func(span ptrace.Span) { span.SetStartTimestamp(0) }),
	)
	_, read := serving(t, s).page(t, "/", http.StatusOK)
	require.Contains(t, read, "|in 29 min|send order|ahead|")
	require.Contains(t, read, "||send order|timeless|")
	require.NotContains(t, read, "|broken|")
}

func TestListsHaveTheirOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFaulty()
		s.selected = func(ctx context.Context, _ store.Selection) iter.Seq2[store.Span, error] {
			return func(yield func(store.Span, error) bool) {
				<-ctx.Done()
				yield(store.Span{}, ctx.Err())
			}
		}
		a := &api{store: s, cfg: testConfig(), now: time.Now}
		began := time.Now()
		require.NotEmpty(t, a.latest(t.Context()).Note)
		require.Equal(t, listTime, time.Since(began))
	})
}

func TestChainPage(t *testing.T) {
	c := serving(t, shop(t))
	written, read := c.page(t, "/chain?event=charge", http.StatusOK)
	require.Contains(t, written, "<svg")
	require.Contains(t, written, "<title>Causal chain of charge – Scope</title>")
	require.Contains(t, read, "Scope charge failed In shop, process <0.83.0> on n1. Began ")
	require.Contains(t, read, ", took 1ns. card declined only what led to it ")
	require.Contains(t, read, "|No.|Began|What|Service|Process|Took|State|Because of"+
		" |1||span 000000000000004d, not stored|||||"+
		" |2|+50ns|order|shop|<0.83.0>|1ns||"+
		" |3|+60ns|send|shop|<0.83.0>|1ns||2 (parent child)"+
		" |4|0|charge|shop|<0.83.0>|1ns|failed card declined|1 (parent child); 3 (message flow, 90 % sure)"+
		" |5|+250ns|hear|shop|<0.83.0>|1ns||4 (error propagation)")
	require.Contains(t, written, `id="step-4" class="asked"`)
	require.NotContains(t, read, "There is more")

	for words, contains := range map[string]string{
		"SVG": "<svg", "JSON": `"nodes"`, "Graphviz": "digraph", "Mermaid": "flowchart", "its trace as OTLP JSON": "resourceSpans",
	} {
		got := c.get(t, linkTo(t, written, words))
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, string(got.body), contains)
	}
	_, read = c.page(t, linkTo(t, written, "only what led to it"), http.StatusOK)
	require.NotContains(t, read, "|hear|")
	_, read = c.page(t, linkTo(t, written, "only what it led to"), http.StatusOK)
	require.NotContains(t, read, "|send|")
	_, read = c.page(t, "/chain?event=charge&limit=2", http.StatusOK)
	require.Contains(t, read, "There is more than is shown")

	_, svg, _ := strings.Cut(written, "<svg")
	node := regexp.MustCompile(`<a href="(\?trace=[^"]*)"`).FindStringSubmatch(svg)
	require.NotNil(t, node)
	_, read = c.page(t, "/chain"+html.UnescapeString(node[1]), http.StatusOK)
	require.Contains(t, read, "Scope order In shop")
	require.Equal(t, "/chain?span=0000000000000001&trace="+storetest.TraceID(1).String(), linkTo(t, written, "order"))
}

func TestChainPageThatCannotBeShown(t *testing.T) {
	c := serving(t, shop(t))
	_, read := c.page(t, "/chain", http.StatusBadRequest)
	require.Contains(t, read, "Scope Bad Request a graph is asked for by event, or by trace and span")
	_, read = c.page(t, "/chain?event=%3Cscript%3E", http.StatusNotFound)
	require.Contains(t, read, `event "<script>" is not stored`)
	c.get(t, "/chain?colour=red").problem(t, http.StatusBadRequest)
	serving(t, failingWith(errors.New("block 7"))(t)).get(t, "/chain?event=e").problem(t, http.StatusInternalServerError)

	bad := storetest.Ref(1, 1)
	g := query.Graph{Nodes: []query.Node{{Ref: bad, Spans: []store.Span{{Bytes: []byte{1}}}}}}
	_, err := newChainData(bad, g, time.Now())
	require.Error(t, err)
	_, err = newChainSteps(bad, g, time.Now())
	require.Error(t, err)
}

func TestAddressesOfThePage(t *testing.T) {
	req := httptest.NewRequest("GET", "http://a:1/", nil)
	require.Equal(t, "http://a:1", baseOf(req))
	req.TLS = &tls.ConnectionState{}
	require.Equal(t, "https://a:1", baseOf(req))
}

func TestPageAnswersQueries(t *testing.T) {
	s := newFaulty()
	for n := range byte(25) {
		write(t, s, native("pay", "n1", "e", began(time.Duration(n+1)*time.Minute), numbered(n+1), func(span ptrace.Span) {
			span.SetTraceID(storetest.TraceID(uint64(n/2) + 1))
		}))
	}
	c := serving(t, s)
	q := func(text string) string { return "/?q=" + url.QueryEscape(text) }

	written, read := c.page(t, q(`{ resource.service.name = "pay" }`), http.StatusOK)
	require.Contains(t, written, `value="{ resource.service.name = &#34;pay&#34; }"`)
	require.Contains(t, written, `<title>{ resource.service.name = &#34;pay&#34; } – Scope</title>`)
	require.Contains(t, read, "Found The latest first; found in ")
	require.Contains(t, read, " |2 spans |2 min ago|send order|pay|<0.83.0>|send|1.23ms| |1 min ago|send order|")
	require.Contains(t, read, " |1 span |25 min ago|")
	for _, no := range []string{"Recent failures", "Stored", "Older"} {
		require.NotContains(t, read, no)
	}
	for _, words := range []string{"as JSON", "as a graph"} {
		require.Equal(t, http.StatusOK, c.get(t, linkTo(t, written, words)).status, words)
	}

	written, read = c.page(t, q(`{ } | by(span:id) | select(span.scope.event.id, duration, .nothing)`), http.StatusOK)
	require.Contains(t, read, "|span:id = 0000000000000001, 1 span")
	require.Contains(t, read, "|send orderspan.scope.event.id = eduration = 1.23ms.nothing = nil|pay|")
	require.Equal(t, foundSpansets, strings.Count(read, "|send order"))
	written, read = c.page(t, linkTo(t, written, "Older"), http.StatusOK)
	require.Equal(t, 25-foundSpansets, strings.Count(read, "|send order"))
	require.NotContains(t, written, "Older")

	_, read = c.page(t, q(`{ name = "nothing" }`), http.StatusOK)
	require.Contains(t, read, "Found Nothing matches. It took ")
	_, read = c.page(t, q(" "), http.StatusOK)
	require.Contains(t, read, "What came in lately")
	_, read = c.page(t, q("{}")+"&cursor=x", http.StatusBadRequest)
	require.Regexp(t, "Not answered .*cursor", read)
	require.NotContains(t, read, "^")
}

func TestPageMarksWhereAQueryIsWrong(t *testing.T) {
	c := serving(t, newFaulty())
	written, read := c.page(t, "/?q="+url.QueryEscape("{ name = \"é<\" &&\n\tstatus = oops }"), http.StatusBadRequest)
	require.Contains(t, written, "<pre>{ name = &#34;é&lt;&#34; &amp;&amp;  status = oops }\n"+
		`<span class="before" aria-hidden="true">{ name = &#34;é&lt;&#34; &amp;&amp;  status = </span><span class="here" aria-hidden="true">^</span></pre>`)
	require.Contains(t, read, "column 28:")
}

func TestWordsOfThePage(t *testing.T) {
	for past, want := range map[time.Duration]string{
		-49 * time.Hour: "in 2 days", -time.Second: "in 1 s", -time.Millisecond: "now", 0: "now", 999 * time.Millisecond: "now",
		59 * time.Second: "59 s ago", time.Minute: "1 min ago", 119 * time.Minute: "1 h ago", 47 * time.Hour: "47 h ago", 48 * time.Hour: "2 days ago",
	} {
		require.Equal(t, want, ago(past))
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 1: "1ns", 999: "999ns", 1234: "1.23µs", 1236 * time.Microsecond: "1.24ms", 83456 * time.Millisecond: "1m23.5s",
		math.MaxInt64: "2561111h6m40s",
	} {
		require.Equal(t, want, brief(d))
	}
	require.Equal(t, []string{"−1.5s", "0", "+2ms"}, []string{offset(-1500 * time.Millisecond), offset(0), offset(2 * time.Millisecond)})
	require.Equal(t, pageText{Short: strings.Repeat("x", maxShort)}, shown(strings.Repeat("x", maxShort)))
}

func TestSpansetsInWords(t *testing.T) {
	s := newFaulty()
	write(t, s, native("pay", "n1", "e1", began(time.Minute)))
	span := newest(t, s)
	got, err := newPageSpanset(&query.Spanset{
		Spans: []store.Span{span}, Matched: 3,
		By: []query.GroupValue{{Field: traceql.Name, Value: "a"}, {Field: &traceql.Attribute{Name: "x"}, Value: nil}, {Field: traceql.Status, Value: traceql.StatusError}, {Field: traceql.Duration, Value: 1500 * time.Microsecond}},
		Figures: []query.Figure{
			{Aggregate: traceql.Aggregate{Fn: traceql.Count}, Value: 3},
			{Aggregate: traceql.Aggregate{Fn: traceql.Max, Arg: traceql.Duration}, Value: 1.5e6},
			{Aggregate: traceql.Aggregate{Fn: traceql.Avg, Arg: &traceql.Attribute{Scope: traceql.ScopeSpan, Name: "size"}}, Value: 2.25},
		},
	}, new(query.Reader), time.Now())
	require.NoError(t, err)
	require.Equal(t, "name = a, .x = nil, status = error, duration = 1.5ms, count() = 3, max(duration) = 1.5ms, avg(span.size) = 2.25, 1 of 3 spans", got.Words)
	require.Len(t, got.Spans, 1)

	got, err = newPageSpanset(&query.Spanset{Spans: []store.Span{span, span}, Matched: 2}, new(query.Reader), time.Now())
	require.NoError(t, err)
	require.Equal(t, "2 spans", got.Words)
	got, err = newPageSpanset(&query.Spanset{Spans: []store.Span{span}, Matched: 1}, new(query.Reader), time.Now())
	require.NoError(t, err)
	require.Equal(t, "1 span", got.Words)
	_, err = newPageSpanset(&query.Spanset{Spans: []store.Span{{Bytes: []byte{1}}}}, new(query.Reader), time.Now())
	require.Error(t, err)
}

// Text is readable on every ground that it stands on, light and dark (WCAG 2.2,
// level AA: 4.5).
func TestContrast(t *testing.T) {
	text, err := pageFiles.ReadFile("page_parts.html")
	require.NoError(t, err)
	themes := regexp.MustCompile(`:root \{([^}]*)\}`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, themes, 2)
	for _, theme := range themes {
		light := map[string]float64{}
		for _, variable := range regexp.MustCompile(`--(\w+): (#\w+)`).FindAllStringSubmatch(theme[1], -1) {
			light[variable[1]] = luminance(t, variable[2])
		}
		require.Len(t, light, 9)
		for _, pair := range []string{
			"ink paper", "ink wash", "ink alarm", "quiet paper", "quiet wash", "link paper", "bad paper", "bad wash", "open paper",
			"paper link", // the button
		} {
			of, on, _ := strings.Cut(pair, " ")
			a, b := light[of], light[on]
			require.GreaterOrEqual(t, (max(a, b)+0.05)/(min(a, b)+0.05), 4.5, "%s in %s", pair, theme[1])
		}
	}
}

// luminance is the relative luminance of #rgb or #rrggbb.
func luminance(t *testing.T, color string) float64 {
	t.Helper()
	digits := color[1:]
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	rgb, err := hex.DecodeString(digits)
	require.NoError(t, err)
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(rgb[i]) / 255
		if c <= 0.03928 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
