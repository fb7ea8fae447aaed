// Package beam runs the Erlang example against the real binary: what a BEAM
// user would see.
package beam

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/test/internal/collector"
)

const (
	example = "../../examples/erlang"
	binary  = "../../bin/otelcol-scope"
)

// patience bounds every wait; no test asserts on speed.
const patience = time.Minute

var (
	ebin    string // where the example lies compiled
	compile = sync.OnceValue(func() error {
		args := []string{"-Werror", "+warn_all", "-o", ebin}
		for _, pattern := range []string{"src/*.erl", "shop/*.erl"} {
			files, err := filepath.Glob(filepath.Join(example, pattern))
			if err != nil {
				return err
			}
			args = append(args, files...)
		}
		if out, err := exec.Command("erlc", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("erlc: %w\n%s", err, out)
		}
		app, err := os.ReadFile(filepath.Join(example, "shop/shop.app"))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(ebin, "shop.app"), app, 0o600)
	})
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "beam")
	if err != nil {
		panic(err)
	}
	ebin = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// compiled compiles the example once and returns where it lies.
func compiled(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"erl", "erlc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: apt-get install erlang-base", tool)
		}
	}
	require.NoError(t, compile())
	return ebin
}

// erl runs a node until it ends and returns what it printed.
func erl(t *testing.T, ebin, env string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "erl", append([]string{"-noshell", "-pa", ebin}, args...)...)
	cmd.Env = append(os.Environ(), env, "ERL_CRASH_DUMP="+os.DevNull)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// scope starts the distribution.
func scope(t *testing.T) collector.Addresses {
	t.Helper()
	if _, err := os.Stat(binary); err != nil {
		t.Skip("bin/otelcol-scope is not built: make build")
	}
	a, err := collector.NewAddresses()
	require.NoError(t, err)
	dir := t.TempDir()
	configs, err := collector.ScopeConfig(dir, "../../collector-config.yaml", a, collector.Storage{Directory: filepath.Join(dir, "data")}, false)
	require.NoError(t, err)
	p, err := collector.Start(collector.Settings{Binary: binary, Configs: configs, Dir: dir})
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, p.Ready(ctx, a.HealthURL()))
	return a
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(body))
	return body
}

// answers returns the events that are replies which calls took, in the order
// of their numbers.
func answers(t *testing.T, api string) []string {
	t.Helper()
	byNumber := map[int]string{}
	last := 0
	for _, m := range regexp.MustCompile(`"event_id":"(\w+-(\d+)t)"`).FindAllSubmatch(get(t, api+"/api/v1/edges?types=message_flow"), -1) {
		n, err := strconv.Atoi(string(m[2]))
		require.NoError(t, err)
		byNumber[n], last = string(m[1]), max(last, n)
	}
	var ids []string
	for n := range last + 1 {
		if id, ok := byNumber[n]; ok {
			ids = append(ids, id)
		}
	}
	return ids
}

type node struct {
	SpanID  string `json:"span_id"`
	EventID string `json:"event_id"`
	Name    string `json:"name"`
	Process string `json:"process"`
	Status  string `json:"status"`
}

type chain struct {
	Nodes []node `json:"nodes"`
	Edges []struct {
		Type       string  `json:"type"`
		Confidence float64 `json:"confidence"`
		Cause      node    `json:"cause"`
		Effect     node    `json:"effect"`
	} `json:"edges"`
	Truncated bool `json:"truncated"`
}

func causes(t *testing.T, api, event string) (c chain) {
	t.Helper()
	require.NoError(t, json.Unmarshal(get(t, api+"/api/v1/events/"+event+"/chain?direction=causes"), &c))
	require.False(t, c.Truncated)
	return c
}

// named returns the nodes of a name.
func (c chain) named(name string) (found []node) {
	for _, n := range c.Nodes {
		if n.Name == name {
			found = append(found, n)
		}
	}
	return found
}

// leads reports whether edges lead from one span to another.
func (c chain) leads(from, to string) bool {
	seen, todo := map[string]bool{from: true}, []string{from}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if at == to {
			return true
		}
		for _, e := range c.Edges {
			if e.Cause.SpanID == at && !seen[e.Effect.SpanID] {
				seen[e.Effect.SpanID] = true
				todo = append(todo, e.Effect.SpanID)
			}
		}
	}
	return false
}

// follow returns a span of the name that the span before leads to.
func (c chain) follow(t *testing.T, before node, name string, fits func(node) bool) node {
	t.Helper()
	for _, n := range c.named(name) {
		if n.SpanID != before.SpanID && fits(n) && c.leads(before.SpanID, n.SpanID) {
			return n
		}
	}
	require.Failf(t, "the chain is broken", "from %s of %s no edges lead to %q", before.Name, before.Process, name)
	return node{}
}

func TestFromTheOrderToTheCrashToTheRestartToTheAnswer(t *testing.T) {
	ebin := compiled(t)
	a := scope(t)
	out := erl(t, ebin, "SCOPE_EVENTS=http://"+a.Events, "-s", "shop_demo", "run")
	require.Contains(t, out, "order-2: {ok,10}")
	require.Contains(t, out, "dropped => 0,rejected => 0")
	replies := answers(t, a.APIURL())
	require.Len(t, replies, 2)

	well := func(n node) bool { return n.Status != "error" }
	ill := func(n node) bool { return n.Status == "error" }
	c := causes(t, a.APIURL(), replies[1])
	orders := c.named("shop:order/2")
	require.Len(t, orders, 1)
	handled := c.follow(t, orders[0], "shop_orders:handle_call/3", well)
	failed := c.follow(t, handled, "shop_payment:handle_cast/2", ill)
	exit := c.follow(t, failed, "exit", ill)
	spawn := c.follow(t, exit, "spawn shop_payment", well)
	begun := c.follow(t, spawn, "shop_payment:init/1", well)
	charged := c.follow(t, begun, "shop_payment:handle_cast/2", well)
	answered := c.follow(t, charged, "send reply", well)
	c.follow(t, answered, "receive reply", func(n node) bool { return n.EventID == replies[1] })
	require.Equal(t, failed.Process, exit.Process)
	require.Equal(t, begun.Process, charged.Process)
	require.NotEqual(t, failed.Process, begun.Process)
	require.Len(t, c.named("shop_payment:handle_cast/2"), 2, "the other order is no cause")
	for _, e := range c.Edges {
		if e.Type == "message_flow" {
			require.InDelta(t, 1, e.Confidence, 0, "%v -> %v", e.Cause, e.Effect)
		}
	}

	first := causes(t, a.APIURL(), replies[0])
	for _, n := range first.Nodes {
		require.NotEqual(t, "error", n.Status, "nothing had failed when the first order was answered: %v", n)
	}
	first.follow(t, first.named("shop:order/2")[0], "receive reply", func(n node) bool { return n.EventID == replies[0] })
}

func TestTheTracerFindsOrdersOfARunningShop(t *testing.T) {
	ebin := compiled(t)
	a := scope(t)
	out := erl(t, ebin, "SCOPE_EVENTS=http://"+a.Events, "-eval", `
		logger:set_primary_config(level, none),
		{ok, _} = application:ensure_all_started(shop),
		{ok, _} = scope_tracer:start(#{endpoint => os:getenv("SCOPE_EVENTS"), modules => [shop, shop_orders, shop_payment]}),
		ok = scope_tracer:trace(shop_sup),
		ok = scope_tracer:trace(self()),
		{error, no_card} = shop:order(1, [<<"bad">>, <<"bad too">>]),
		ok = scope_tracer:flush(),
		io:format("~0p", [scope_tracer:stats()]),
		ok = scope_tracer:stop(),
		{error, no_card} = shop:order(2, [<<"untraced">>]),
		halt(0).`)
	require.Contains(t, out, "dropped => 0,rejected => 0")
	replies := answers(t, a.APIURL())
	require.Len(t, replies, 1)
	c := causes(t, a.APIURL(), replies[0])
	require.Len(t, c.named("shop:order/2"), 1)
	require.Len(t, c.named("exit"), 2, "both cards ended a worker")
}
