package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ended is how a question that nobody should ask ended.
type ended struct {
	Question string  `json:"question"`
	Status   int     `json:"status"`
	Ms       float64 `json:"ms"`
	Detail   string  `json:"detail"` // of the problem, "" for an answer
	Bytes    int     `json:"bytes"`
}

// hostileResult is what such questions did to intake.
type hostileResult struct {
	Ended   []ended `json:"ended"`
	Before  arrived `json:"before"` // a while without questions
	During  arrived `json:"during"`
	AtOnce  int     `json:"at_once"`
	PeakMB  float64 `json:"peak_rss_mb"`
	RSSGrew float64 `json:"peak_rss_grew_mb"`
}

func bare(query string) string { return "/api/v1/search?limit=1000&q=" + url.QueryEscape(query) }

// worst are questions that nobody should ask.
var worst = []struct{ name, path string }{
	{"everything", bare(`{ }`)},
	{"everything, all spans of each", bare(`{ }`) + "&spans_per_spanset=1000"},
	{"nothing matches, nothing helps", bare(`{ span.url.path =~ ".*x.*y.*z.*" && name != "a" }`)},
	{"nested regular expressions", bare(`{ name =~ "((a*)*)*b" || name =~ "(.*)*(.*)*(.*)*(.*)*c" || span.url.path =~ "(x+x+)+y" }`)},
	{"a huge regular expression", bare(`{ name =~ "((((a{0,100}){0,100}){0,100}){0,100}){0,100}" }`)},
	{"everything led to everything", bare(`{ } ->> { }`)},
	{"from everything to what is not there", bare(`{ } ->> { name = "nowhere" && duration > 1s }`)},
	{"a chain of chains", bare(`{ } ->> { } ->> { } ->> { status = error }`)},
	{"everything below everything", bare(`{ } >> { } >> { }`)},
	{"count all", bare(`{ } | count() > 1000000`)},
	{"a query of 100 kB", bare("{ " + strings.Repeat(`name = "x" || `, 7000) + `name = "y" }`)},
	{"parentheses, 1000 deep", bare("{ " + strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000) + " }")},
	{"every edge there is", "/api/v1/edges"},
	{"a graph of everything", "/api/v1/graph?limit=1000&format=svg&q=" + url.QueryEscape(`{ }`)},
}

// bear reads an answer of any size and forgets it: this process is the one that
// sends spans meanwhile, and would pause for gigabytes that it kept.
func bear(ctx context.Context, client *http.Client, address string) (detail string, status int, bytes int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", 0, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		var problem struct{ Detail string }
		if err == nil {
			err = json.Unmarshal(body, &problem)
		}
		return problem.Detail, resp.StatusCode, int64(len(body)), err
	}
	bytes, err = io.Copy(io.Discard, resp.Body)
	return "", resp.StatusCode, bytes, err
}

// hostile asks them all at once, again and again, for a while.
func (o options) hostile(ctx context.Context, client *http.Client, s *server, r *results, in *intake) error {
	before, err := s.PeakRSS()
	if err != nil {
		return err
	}
	in.since()
	select {
	case <-time.After(o.tail):
	case <-ctx.Done():
		return ctx.Err()
	}
	h := &r.Hostile
	h.Before, h.AtOnce = in.since(), len(worst)
	h.Ended = make([]ended, len(worst))
	patient := *client
	patient.Timeout = 2 * time.Minute
	var wg sync.WaitGroup
	for i, q := range worst {
		wg.Go(func() {
			begin := time.Now()
			detail, status, n, err := bear(ctx, &patient, s.at.APIURL()+q.path)
			e := ended{Question: q.name, Status: status, Ms: ms(time.Since(begin)), Detail: detail, Bytes: int(n)}
			if err != nil {
				e.Detail = "no answer: " + err.Error()
			}
			h.Ended[i] = e
		})
	}
	wg.Wait()
	h.During = in.since()
	after, err := s.PeakRSS()
	h.PeakMB, h.RSSGrew = float64(after)/1e6, float64(after-before)/1e6
	for _, e := range h.Ended {
		fmt.Printf("  %-40s %d after %8.1f ms, %d bytes %.100s\n", e.Question, e.Status, e.Ms, e.Bytes, e.Detail)
		if strings.HasPrefix(e.Detail, "no answer") {
			err = fmt.Errorf("%s: %s", e.Question, e.Detail)
		}
	}
	fmt.Printf("  intake before: %.0f/s, p99 %.1f ms; during: %.0f/s, p99 %.1f ms, %d refused\n",
		h.Before.PerSecond, h.Before.P99ms, h.During.PerSecond, h.During.P99ms, h.During.Refused)
	return err
}
