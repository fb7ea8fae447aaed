package tail

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// mixed are n different selective queries.
func mixed(n int) []string {
	forms := []string{
		`{ resource.service.name = "service-%d" && status = error }`,
		`{ span.http.route = "GET /path/%d" }`,
		`{ name = "publish orders" && span.http.response.body.size = %d }`,
		`{ .client.address = "10.0.0.%d" && duration > 1ms }`,
		`{ resource.service.name = "cart" && kind = client && span.http.response.status_code >= 500 && span.server.port = %d }`,
	}
	queries := make([]string, n)
	for i := range queries {
		queries[i] = fmt.Sprintf(forms[i%len(forms)], i)
	}
	return queries
}

// BenchmarkPublish is what a span costs the goroutine that publishes, in
// commits of a hundred spans with ten attributes.
func BenchmarkPublish(b *testing.B) {
	const commit = 100
	var commits [][]store.Span
	for seed := range uint64(16) {
		var spans []store.Span
		for _, plain := range storetest.Split(storetest.Request(seed, commit)) {
			spans = append(spans, plain.Encode(0))
		}
		for i := range spans {
			spans[i].Origin = spans[0].Origin
		}
		commits = append(commits, spans)
	}
	for name, queries := range map[string][]string{
		"nobody":                      nil,
		"1 query":                     mixed(1),
		"100 queries":                 mixed(100),
		"1000 queries":                mixed(1000),
		"100 of one query":            make([]string, 100),
		"100 that match it all":       make([]string, 100),
		"100 routes, 5 of them match": make([]string, 100),
	} {
		for i := range queries {
			switch name {
			case "100 of one query":
				queries[i] = mixed(1)[0]
			case "100 that match it all":
				queries[i] = fmt.Sprintf(`{ span.server.port != %d }`, i)
			case "100 routes, 5 of them match":
				queries[i] = fmt.Sprintf(`{ span.http.route = "/path/%d" }`, i)
			}
		}
		b.Run(name, func(b *testing.B) {
			broker := NewBroker(Options{Bytes: 16 << 20, Subscriptions: 1000, Encode: nameOf})
			for _, q := range queries {
				s, err := broker.Subscribe(parse(b, q), ID{})
				require.NoError(b, err)
				defer s.Close()
			}
			b.ReportAllocs()
			received := int64(0)
			for b.Loop() {
				received++
				if err := broker.Publish(received, commits[received%16]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*commit), "ns/span")
		})
	}
}
