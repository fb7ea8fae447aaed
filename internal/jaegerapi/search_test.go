package jaegerapi

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/traceql"
)

// any3 is the condition that a tag has one of the values.
func any3(key string, values ...string) string {
	var all []string
	for _, scope := range []string{"span", "resource", "event"} {
		for _, v := range values {
			all = append(all, scope+"."+key+" = "+v)
		}
	}
	return strings.Join(all, " || ")
}

func TestSearches(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		want    string
		r       query.Range
		limit   int
	}{
		// grafana/grafana pkg/tsdb/jaeger/client.go, Search
		"Grafana": {
			request: `end=1700003600000000&limit=20&maxDuration=2s&minDuration=1.5ms&operation=charge&service=pay&start=1700000000000000&tags=%7B%22error%22%3A%22true%22%7D`,
			want:    `{ resource.service.name = "pay" && name = "charge" && (` + any3("error", `"true"`, "true") + ` || status = error) && duration >= 1.5ms && duration <= 2s }`,
			r:       query.Range{Start: 1_700_000_000_000_000_000, End: 1_700_003_600_000_000_000}, limit: 20,
		},
		// jaegertracing/jaeger-ui v1, packages/jaeger-ui/src/components/SearchTracePage/SearchForm.jsx, submitForm
		"Jaeger's UI": {
			request: `end=1700003600000000&limit=1500&lookback=1h&maxDuration&minDuration&service=pay&start=1700000000000000&tags=%7B%22http.status_code%22%3A%22200%22%7D`,
			want:    `{ resource.service.name = "pay" && (` + any3("http.status_code", `"200"`, "200") + `) }`,
			r:       query.Range{Start: 1_700_000_000_000_000_000, End: 1_700_003_600_000_000_000}, limit: 1500,
		},
		"tag by tag": {
			request: "service=pay&tag=a:b:c&tag=half:0.5", limit: 100,
			want: `{ resource.service.name = "pay" && (` + any3("a", `"b:c"`) + `) && (` + any3("half", `"0.5"`, "0.5") + `) }`,
		},
		"what the tags are made of": {
			request: "tag=span.kind:Server&tag=otel.status_code:ok&tag=otel.status_description:no&tag=otel.scope.name:l&tag=otel.scope.version:1&tag=event:e", limit: 100,
			want: `{ ` + any3("event", `"e"`) + ` || event:name = "e" && (` +
				any3("otel.scope.name", `"l"`) + ` || instrumentation:name = "l") && (` +
				any3("otel.scope.version", `"1"`, "1") + ` || instrumentation:version = "1") && (` +
				any3("otel.status_code", `"ok"`) + ` || status = ok) && (` +
				any3("otel.status_description", `"no"`) + ` || statusMessage = "no") && (` +
				any3("span.kind", `"Server"`) + ` || kind = server) }`,
		},
		"what they are not made of": {
			request: "tag=error:false&tag=otel.status_code:unset&tag=span.kind:unknown&tag=nan:NaN", limit: 100,
			want: `{ ` + any3("error", `"false"`, "false") + ` && (` + any3("nan", `"NaN"`) + `) && (` + any3("otel.status_code", `"unset"`) + `) && (` + any3("span.kind", `"unknown"`) + `) }`,
		},
		"an error by its status": {
			request: "tag=otel.status_code:ERROR", limit: 100,
			want: `{ ` + any3("otel.status_code", `"ERROR"`) + ` || status = error }`,
		},
		"everything": {request: "", want: "{}", limit: 100},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := url.ParseQuery(c.request)
			require.NoError(t, err)
			got, err := ParseSearch(values)
			require.NoError(t, err)
			require.Equal(t, c.want, got.Query.String())
			require.Equal(t, c.r, got.Range)
			require.Equal(t, c.limit, got.Limit)
		})
	}
}

func TestSearchByID(t *testing.T) {
	got, err := ParseSearch(url.Values{"traceID": {"a", "b"}, "limit": {"x"}})
	require.NoError(t, err)
	require.Equal(t, Search{TraceIDs: []string{"a", "b"}}, got)
	_, err = ParseSearch(url.Values{"traceID": make([]string, 1501)})
	require.EqualError(t, err, "parameter traceID: 1501 are given: allowed are 1500")
}

func TestSearchesV3(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		want    string
		r       query.Range
		limit   int
	}{
		// jaegertracing/jaeger-ui packages/jaeger-ui/src/api/v3/client.ts, fetchTraceSummaries
		"Jaeger's UI": {
			request: `query.serviceName=pay&query.operationName=charge&query.startTimeMin=2023-11-14T22%3A13%3A20.000Z&query.startTimeMax=2023-11-14T23%3A13%3A20.000Z&query.searchDepth=20&query.durationMin=1ms&query.durationMax=1s&query.attributes=%7B%22a%22%3A%22b%22%7D`,
			want:    `{ resource.service.name = "pay" && name = "charge" && (` + any3("a", `"b"`) + `) && duration >= 1ms && duration <= 1s }`,
			r:       query.Range{Start: 1_700_000_000_000_000_000, End: 1_700_003_600_000_000_000}, limit: 20,
		},
		// grafana/grafana pkg/tsdb/jaeger/grpc_client.go, GrpcSearch: the times are not escaped
		"Grafana": {
			request: `query.service_name=pay&query.start_time_min=2023-11-14T23:13:20+01:00&query.start_time_max=2023-11-15T00:13:20.5+01:00`,
			want:    `{ resource.service.name = "pay" }`,
			r:       query.Range{Start: 1_700_000_000_000_000_000, End: 1_700_003_600_500_000_000}, limit: 100,
		},
		"older": {request: `query.num_traces=7`, want: `{}`, limit: 7},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := url.ParseQuery(c.request)
			require.NoError(t, err)
			got, err := ParseSearchV3(values)
			require.NoError(t, err)
			require.Equal(t, c.want, got.Query.String())
			require.Equal(t, c.r, got.Range)
			require.Equal(t, c.limit, got.Limit)
		})
	}
}

func TestBadSearches(t *testing.T) {
	for request, want := range map[string]string{
		"limit=0":                             `limit: "0" is not allowed: must be a number from 1 to 1500`,
		"limit=1501":                          `limit: "1501" is not allowed: must be a number from 1 to 1500`,
		"limit=x":                             `limit: "x" is not allowed: must be a number from 1 to 1500`,
		"tag=a":                               `tag: "a" is not allowed: must be key:value`,
		"tags=a":                              `tags: "a" is not allowed: must be a JSON object of texts: invalid character 'a' looking for beginning of value`,
		"minDuration=1":                       `minDuration: "1" is not allowed: must be a duration such as 1.2s, 100ms or 500us`,
		"maxDuration=-1s":                     `maxDuration: "-1s" is not allowed: must be a duration such as 1.2s, 100ms or 500us`,
		"minDuration=2s&maxDuration=1s":       `maxDuration: 1s is not allowed: must not be less than minDuration`,
		"start=yesterday":                     `start: "yesterday" is not allowed: must be microseconds since the epoch`,
		"end=10000000000000000":               `end: "10000000000000000" is not allowed: must be microseconds since the epoch`,
		"start=2&end=1":                       `end: must be later than start`,
		"start=2&end=2":                       `end: must be later than start`,
		"v3 query.filter=x":                   `query.filter: filter expressions are not supported: use query.attributes, or Scope's own search`,
		"v3 query.attributes=x":               `query.attributes: "x" is not allowed: must be a JSON object of texts: invalid character 'x' looking for beginning of value`,
		"v3 query.duration_min=1":             `query.duration_min: "1" is not allowed: must be a duration such as 1.2s, 100ms or 500us`,
		"v3 query.startTimeMin=1":             `query.startTimeMin: "1" is not allowed: must be a time such as 2026-03-01T12:00:00Z (RFC 3339)`,
		"v3 query.start_time_max=1":           `query.start_time_max: "1" is not allowed: must be a time such as 2026-03-01T12:00:00Z (RFC 3339)`,
		"v3 query.searchDepth=0":              `query.searchDepth: "0" is not allowed: must be a number from 1 to 1500`,
		"range startTime=1":                   `startTime: "1" is not allowed: must be a time such as 2026-03-01T12:00:00Z (RFC 3339)`,
		"range end_time=1066-01-01T00:00:00Z": `end_time: "1066-01-01T00:00:00Z" is not allowed: must be a time such as 2026-03-01T12:00:00Z (RFC 3339)`,
		"lookback endTs=x":                    `endTs: "x" is not allowed: must be milliseconds`,
		"lookback lookback=-1":                `lookback: "-1" is not allowed: must be milliseconds`,
	} {
		t.Run(request, func(t *testing.T) {
			api, text, ok := strings.Cut(request, " ")
			if !ok {
				api, text = "", request
			}
			values, err := url.ParseQuery(text)
			require.NoError(t, err)
			switch api {
			case "":
				_, err = ParseSearch(values)
			case "v3":
				_, err = ParseSearchV3(values)
			case "range":
				err = CheckRangeV3(values)
			case "lookback":
				err = CheckLookback(values)
			}
			require.EqualError(t, err, "parameter "+want)
		})
	}
}

func TestSearchesAreBounded(t *testing.T) {
	long := strings.Repeat("a", 9000)
	_, err := ParseSearch(url.Values{"service": {long}})
	require.ErrorAs(t, err, new(*traceql.Error))
	_, err = ParseSearchV3(url.Values{"query.serviceName": {long}})
	require.ErrorAs(t, err, new(*traceql.Error))
	_, err = ParseSearchV3(url.Values{"query.startTimeMin": {"1970-01-01T00:00:02Z"}, "query.startTimeMax": {"1970-01-01T00:00:01Z"}})
	require.EqualError(t, err, "parameter query.startTimeMax: must be later than query.startTimeMin")
}

func TestRanges(t *testing.T) {
	// jaegertracing/jaeger-ui packages/jaeger-ui/src/api/jaeger.ts, fetchDependencies
	require.NoError(t, CheckLookback(url.Values{"endTs": {"1700000000000"}, "lookback": {"604800000"}}))
	require.NoError(t, CheckLookback(nil))
	require.NoError(t, CheckRangeV3(url.Values{"start_time": {"1970-01-01T00:00:01Z"}, "endTime": {"1970-01-01T00:00:02Z"}}))
}

// FuzzSearch reads any parameters; what is read is a query that can be written
// down and read again.
func FuzzSearch(f *testing.F) {
	f.Add(`service=pay&operation=charge&tags=%7B%22a%22%3A%22b%22%7D&tag=a:b&minDuration=1ms&start=1&end=2&limit=3`)
	f.Add(`query.serviceName=pay&query.attributes=%7B%22a%22%3A%22b%22%7D&query.startTimeMin=2023-11-14T22:13:20Z&query.searchDepth=1`)
	f.Fuzz(func(t *testing.T, request string) {
		values, err := url.ParseQuery(request)
		if err != nil {
			return
		}
		for _, parse := range []func(url.Values) (Search, error){ParseSearch, ParseSearchV3} {
			got, err := parse(values)
			if err != nil {
				continue
			}
			if got.TraceIDs != nil {
				continue
			}
			require.Positive(t, got.Limit)
			text := got.Query.String()
			read, err := traceql.Parse(text)
			require.NoError(t, err)
			require.Equal(t, text, read.String())
		}
	})
}
