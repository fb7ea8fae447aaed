package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// tailed is what live tails brought.
type tailed struct {
	Subscribers int     `json:"subscribers"`
	Seconds     float64 `json:"seconds"`
	Spans       uint64  `json:"spans"` // that came to all of them together
	Lost        int64   `json:"lost"`  // as lag events said
	P50ms       float64 `json:"p50_ms"`
	P99ms       float64 `json:"p99_ms"`
	MaxMs       float64 `json:"max_ms"`
	Intake      arrived `json:"intake"`
}

// tails watches many subscriptions for a while. A span's id says when it was
// committed, so how long it took from there is known.
func (o options) tails(ctx context.Context, s *server, r *results) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var h loadgen.Histogram
	var lost atomic.Int64
	var open, wg sync.WaitGroup
	errs := make(chan error, o.subscribers)
	transport := &http.Transport{DisableCompression: true}
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()
	for i := range o.subscribers {
		open.Add(1)
		wg.Go(func() {
			errs <- tail(watching, client, s.at.APIURL(), tailQuery(i), open.Done, func(committed int64) {
				h.Observe(time.Duration(time.Now().UnixNano() - committed))
			}, &lost)
		})
	}
	open.Wait()
	before := h.Counts()
	begin := time.Now()
	select {
	case <-time.After(o.tail):
	case <-ctx.Done():
		return ctx.Err()
	}
	c := h.Counts().Since(before)
	r.Tails = tailed{
		Subscribers: o.subscribers, Seconds: time.Since(begin).Seconds(), Spans: c.Total(), Lost: lost.Load(),
		P50ms: ms(c.Quantile(0.5)), P99ms: ms(c.Quantile(0.99)), MaxMs: ms(c.Quantile(1)),
	}
	stop()
	wg.Wait()
	for range o.subscribers {
		if err := <-errs; err != nil {
			return err
		}
	}
	fmt.Printf("  %d tails for %.0f s: %d spans, %d lost, commit to subscriber p50 %.2f ms, p99 %.2f ms, max %.2f ms\n",
		o.subscribers, r.Tails.Seconds, r.Tails.Spans, r.Tails.Lost, r.Tails.P50ms, r.Tails.P99ms, r.Tails.MaxMs)
	if r.Tails.Spans == 0 {
		return fmt.Errorf("nothing came to %d subscribers in %.0f s", o.subscribers, r.Tails.Seconds)
	}
	return nil
}

// tailQuery is a question of which no two of the first two hundred are equal.
func tailQuery(i int) string {
	operations := []string{"list", "get", "create", "update", "remove", "validate", "reserve", "confirm", "publish", "expire"}
	services := []string{"gateway", "orders", "payments", "stock", "shipping", "mailer", "catalog", "search", "basket", "users",
		"sessions", "pricing", "reviews", "fraud", "invoices", "returns", "loyalty", "images", "audit", "reports"}
	service := services[i%len(services)]
	return fmt.Sprintf(`{ resource.service.name = "%s-service" && name = "%s.%s" && span.app.shard < %d }`, service, service, operations[i/len(services)%len(operations)], 16+i)
}

// tail reads one subscription until ctx ends, which is no error. opened is
// called once.
func tail(ctx context.Context, client *http.Client, base, query string, opened func(), got func(committed int64), lost *atomic.Int64) error {
	once := sync.OnceFunc(opened)
	defer once()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/tail?q="+url.QueryEscape(query), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	once()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var event, id string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			if event == "lag" {
				var lag struct{ Missed int64 }
				if err := json.Unmarshal([]byte(value), &lag); err != nil {
					return err
				}
				lost.Add(lag.Missed)
				continue
			}
			received, _, _ := strings.Cut(id, "-")
			committed, err := strconv.ParseInt(received, 10, 64)
			if err != nil {
				return fmt.Errorf("event id %q: %w", id, err)
			}
			got(committed)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the stream ended: %w", lines.Err())
}
