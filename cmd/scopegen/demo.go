package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/workload"
)

// runDemo sends what the shop did in the last minutes, looks it up again, and
// prints where to look.
func runDemo(ctx context.Context, o options, out io.Writer) error {
	api := api{base: o.api, client: &http.Client{Timeout: 10 * time.Second}}
	if _, err := api.get(ctx, "/api/v1/status"); err != nil {
		return fmt.Errorf("no collector answers (is `make run` running?): %w", err)
	}
	c := o.shop(workload.DefaultConfig().OrdersPerSecond)
	c.Orders = max(1, int(o.duration.Seconds()*c.OrdersPerSecond))
	took, err := length(c)
	if err != nil {
		return err
	}
	c.Start = time.Now().Add(-took)
	shop, err := workload.New(c)
	if err != nil {
		return err
	}
	sink, err := o.sink(nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "A shop took %d orders in %s. Sending what its processes did to %s …\n", c.Orders, took.Round(time.Second), o.endpoint)
	var found sights
	err = pump(ctx, sink, newProgress(out), func() (workload.Step, time.Duration, bool) {
		step, ok := shop.Next()
		found.see(&step)
		return step, 0, ok
	})
	if err := errors.Join(err, sink.close()); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d events are stored. Looking for some of them …\n\n", sink.sent())
	return found.show(ctx, api, out)
}

// length lets the shop run once, untold, to learn how long its day is: the
// demo's must end now.
func length(c workload.Config) (time.Duration, error) {
	shop, err := workload.New(c)
	if err != nil {
		return 0, err
	}
	last := c.Start
	for {
		step, ok := shop.Next()
		if !ok {
			return last.Sub(c.Start), nil
		}
		last = time.Unix(0, step.Event.Time)
	}
}

// sight is something worth looking at.
type sight struct {
	what  string
	event *event.Event
}

// sights remembers the last of each kind whose consequences were sent too.
type sights struct {
	crash, failed, shipped *event.Event
}

func (s *sights) see(step *workload.Step) {
	e := step.Event
	switch {
	case e.Kind == event.KindExit && e.Outcome != "":
		s.crash = &e
	case e.Kind == event.KindError && e.CorrelationID != "":
		s.failed = &e
	case e.Kind == event.KindState && e.To == "shipped":
		s.shipped = &e
	}
}

func (s *sights) list() []sight {
	var all []sight
	for _, one := range []sight{
		{"an order that something went wrong with", s.failed},
		{"a payment worker that crashed, and was started again", s.crash},
		{"an order that was shipped", s.shipped},
	} {
		if one.event != nil {
			all = append(all, one)
		}
	}
	return all
}

// show looks up each sight by its event id, by its trace, and on the page of
// its causal chain.
func (s *sights) show(ctx context.Context, a api, out io.Writer) error {
	for _, one := range s.list() {
		path := "/api/v1/events/" + url.PathEscape(one.event.ID) + "?" + url.Values{"service": {one.event.Service}, "node": {one.event.Node}}.Encode()
		body, err := a.get(ctx, path)
		if err != nil {
			return fmt.Errorf("%s was sent and is not found: %w", one.what, err)
		}
		var span struct {
			TraceID string `json:"trace_id"`
			Name    string `json:"name"`
		}
		if err := json.Unmarshal(body, &span); err != nil || span.TraceID == "" {
			return fmt.Errorf("the answer to %s names no trace", path)
		}
		trace := "/api/v1/traces/" + span.TraceID
		if _, err := a.get(ctx, trace); err != nil {
			return fmt.Errorf("the trace of %s is not found: %w", one.what, err)
		}
		chain := "/chain?" + url.Values{"event": {one.event.ID}, "service": {one.event.Service}, "node": {one.event.Node}}.Encode()
		if _, err := a.get(ctx, chain); err != nil {
			return fmt.Errorf("the causal chain of %s cannot be shown: %w", one.what, err)
		}
		fmt.Fprintf(out, "%s (%s):\n  what led to it and what it led to: %s%s\n  curl '%s%s'\n  curl '%s%s'\n", one.what, span.Name, a.base, chain, a.base, path, a.base, trace)
	}
	fmt.Fprintf(out, "all of it, and a place to ask:\n  %s/\n", a.base)
	fmt.Fprintf(out, "how the collector is:\n  curl '%s/api/v1/status'\n", a.base)
	return nil
}

// api asks the collector.
type api struct {
	base   string
	client *http.Client
}

func (a api) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s%s: %s: %.200s", a.base, path, resp.Status, body)
	}
	return body, nil
}
