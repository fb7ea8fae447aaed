package tempoapi

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/traceql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var anHour = query.Range{Start: 1_700_000_000_000_000_000, End: 1_700_003_601_000_000_000}

func TestSearches(t *testing.T) {
	for name, c := range map[string]struct {
		request     string
		want        string
		r           query.Range
		limit, spss int
	}{
		// grafana/grafana-tempo-datasource pkg/tempo/search.go, createSearchRequest
		"Grafana": {
			request: `end=1700003600&limit=20&q=%7Bresource.service.name%3D%22pay%22+%26%26+status%3Derror%7D&spss=3&start=1700000000`,
			want:    `{ resource.service.name = "pay" && status = error }`, r: anHour, limit: 20, spss: 3,
		},
		// grafana/tempo pkg/httpclient/client.go, SearchTraceQL
		"Tempo's client":  {request: `q=%7B%7D`, want: `{}`, limit: 20, spss: 3},
		"all of each":     {request: `q=%7B%7D&spss=0&limit=1000`, want: `{}`, limit: 1000, spss: 1000},
		"nothing":         {request: ``, want: `{}`, limit: 20, spss: 3},
		"causality":       {request: `q=%7B%7D+-%3E%3E+%7B+status%3Derror+%7D`, want: `{} ->> { status = error }`, limit: 20, spss: 3},
		"unknown is none": {request: `q=%7B%7D&skip_ast_transformations=a`, want: `{}`, limit: 20, spss: 3},
		// grafana/tempo pkg/httpclient/client.go, SearchWithRange
		"tags": {
			request: `start=1700000000&end=1700003600&tags=service.name%3Dpay+http.url%3D%22%2Fa+b%22&minDuration=100ms&maxDuration=1s`,
			want: `{ span.service.name =~ "(?is).*pay.*" || resource.service.name =~ "(?is).*pay.*"` +
				` && (span.http.url =~ "(?is).*/a b.*" || resource.http.url =~ "(?is).*/a b.*")` +
				` && traceDuration >= 100ms && traceDuration <= 1s }`,
			r: anHour, limit: 20, spss: 3,
		},
		"tags of other types": {
			request: `tags=a%3D1+b%3D0.5+c%3Dtrue`,
			want: `{ span.a =~ "(?is).*1.*" || span.a = 1 || resource.a =~ "(?is).*1.*" || resource.a = 1` +
				` && (span.b =~ '(?is).*0\.5.*' || span.b = 0.5 || resource.b =~ '(?is).*0\.5.*' || resource.b = 0.5)` +
				` && (span.c =~ "(?is).*true.*" || span.c = true || resource.c =~ "(?is).*true.*" || resource.c = true) }`,
			limit: 20, spss: 3,
		},
		"tags with a meaning": {
			request: `tags=name%3Dn+root.name%3Dr+root.service.name%3Ds+error%3Dtrue+status.code%3Dok`,
			want: `{ name =~ "(?is).*n.*" || span.name =~ "(?is).*n.*" || resource.name =~ "(?is).*n.*"` +
				` && (rootName =~ "(?is).*r.*" || span.root.name =~ "(?is).*r.*" || resource.root.name =~ "(?is).*r.*")` +
				` && (rootServiceName =~ "(?is).*s.*" || span.root.service.name =~ "(?is).*s.*" || resource.root.service.name =~ "(?is).*s.*")` +
				` && (status = error || span.error =~ "(?is).*true.*" || span.error = true || resource.error =~ "(?is).*true.*" || resource.error = true)` +
				` && (status = ok || span.status.code =~ "(?is).*ok.*" || resource.status.code =~ "(?is).*ok.*") }`,
			limit: 20, spss: 3,
		},
		"tags that only look so": {
			request: `tags=error%3Dno+status.code%3D7+nan%3DNaN`,
			want: `{ span.error =~ "(?is).*no.*" || resource.error =~ "(?is).*no.*"` +
				` && (span.status.code =~ "(?is).*7.*" || span.status.code = 7 || resource.status.code =~ "(?is).*7.*" || resource.status.code = 7)` +
				` && (span.nan =~ "(?is).*NaN.*" || resource.nan =~ "(?is).*NaN.*") }`,
			limit: 20, spss: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := url.ParseQuery(c.request)
			require.NoError(t, err)
			got, err := ParseSearch(values)
			require.NoError(t, err)
			require.Equal(t, strings.ReplaceAll(c.want, "'", "`"), got.Query.String())
			require.Equal(t, c.r, got.Range)
			require.Equal(t, c.limit, got.Limit)
			require.Equal(t, c.spss, got.SpansPerSet)
		})
	}
}

func TestBadSearches(t *testing.T) {
	for request, want := range map[string]string{
		"q=%7B%7D&tags=a%3Db":           "invalid tags: q and tags cannot be given together",
		"start=x":                       `invalid start: "x" is not allowed: must be seconds since the epoch`,
		"end=99999999999":               `invalid end: "99999999999" is not allowed: must be seconds since the epoch`,
		"start=2&end=2":                 "invalid end: start must be before end: start=2 end=2",
		"start=2":                       "invalid end: start must be before end: start=2 end=0",
		"limit=0":                       `invalid limit: "0" is not allowed: must be a number from 1 to 1000`,
		"spss=-1":                       `invalid spss: "-1" is not allowed: must be a number from 0 to 1000`,
		"minDuration=1":                 `invalid minDuration: "1" is not allowed: must be a duration such as 10s or 100ms`,
		"maxDuration=-1s":               `invalid maxDuration: "-1s" is not allowed: must be a duration such as 10s or 100ms`,
		"minDuration=2s&maxDuration=1s": "invalid maxDuration: must not be less than minDuration",
		"tags=a":                        `invalid tags: expected key=value at "a"`,
		"tags=%3Db":                     `invalid tags: expected key=value at "=b"`,
		"tags=a%3D%22b":                 `invalid tags: the quotes at "\"b" do not end`,
		"tags=a%3D%22b%22c":             `invalid tags: expected a blank at "c"`,
		"tags=a%3Db%22c":                `invalid tags: quotes within "b\"c"`,
		"tags=a%22%3Db":                 `invalid tags: expected key=value at "a\"=b"`,
		"q=%7B+status+%3D+%7D&limit=1":  `column 12: expected a field or a value`,
	} {
		t.Run(request, func(t *testing.T) {
			values, err := url.ParseQuery(request)
			require.NoError(t, err)
			_, err = ParseSearch(values)
			require.ErrorContains(t, err, want)
		})
	}
	_, err := ParseSearch(url.Values{"tags": {"a=" + strings.Repeat("b", 9000)}})
	require.ErrorAs(t, err, new(*traceql.Error))
	_, err = ParseRange(url.Values{"start": {"1"}, "end": {"x"}})
	require.Error(t, err)
}

func TestLogfmt(t *testing.T) {
	for text, want := range map[string][]tag{
		"":                     nil,
		"  a=b   c=d ":         {{"a", "b"}, {"c", "d"}},
		"a=":                   {{"a", ""}},
		"a= b=c":               {{"a", ""}, {"b", "c"}},
		`a="b \"c\" \\ d" e=f`: {{"a", `b "c" \ d`}, {"e", "f"}},
		"a=b=c":                {{"a", "b=c"}},
	} {
		got, err := parseLogfmt(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestLimits(t *testing.T) {
	for text, want := range map[string]int{"": 10, "0": 10, "3": 3, "5000": 10} {
		got, err := ParseLimit(url.Values{"limit": {text}}, 10)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseLimit(url.Values{"limit": {"x"}}, 10)
	require.ErrorContains(t, err, `invalid limit: "x" is not allowed`)
}

func FuzzSearch(f *testing.F) {
	f.Add(`q=%7B+status%3Derror+%7D&start=1&end=2&limit=3&spss=4`)
	f.Add(`tags=a%3Db+c%3D%22d+e%22&minDuration=1s&maxDuration=2s`)
	f.Fuzz(func(t *testing.T, request string) {
		values, err := url.ParseQuery(request)
		if err != nil {
			return
		}
		got, err := ParseSearch(values)
		if err != nil {
			return
		}
		require.Positive(t, got.Limit)
		require.Positive(t, got.SpansPerSet)
		text := got.Query.String()
		read, err := traceql.Parse(text)
		require.NoError(t, err)
		require.Equal(t, text, read.String())
	})
}
