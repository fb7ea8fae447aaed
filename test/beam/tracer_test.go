package beam

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStringsAreValidJSON(t *testing.T) {
	out := erl(t, compiled(t), "", "-eval", `
		io:setopts([{encoding, latin1}]),
		[io:format("~s~n", [iolist_to_binary(scope_json:string(B))]) || B <-
			[<<>>, <<"plain">>, <<"a\"b\\c\n\t", 0, 31, 127>>, <<"ärger €"/utf8>>, <<"cut ", 16#E2, 16#82>>, <<255, "x">>]],
		halt(0).`)
	var got []string
	for line := range strings.Lines(out) {
		var s string
		require.NoError(t, json.Unmarshal([]byte(line), &s), line)
		got = append(got, s)
	}
	require.Equal(t, []string{"", "plain", "a\"b\\c\n\t\x00\x1f\x7f", "ärger €", "cut \ufffd\ufffd", "\ufffdx"}, got)
}

func TestTermsArePrintedShort(t *testing.T) {
	out := erl(t, compiled(t), "", "-eval", `
		[io:format("~ts~n", [scope_term:print(T, 6)]) || T <-
			[ok, 'A b', {}, [], "text", [1, 2 | 3], #{a => <<"b">>}, <<0, 1>>, 1.5, lists:seq(1, 9), {{{{{{{x}}}}}}},
			 lists:duplicate(99, $a), binary:copy(<<"b">>, 61)]],
		halt(0).`)
	require.Equal(t, []string{
		"ok", "'A b'", "{}", "[]", `"text"`, "[1,2|3]", `#{a => <<"b">>}`, "<<2 bytes>>", "1.5", "[1,2,3,4,5,...]", "{{{{{{...}}}}}}",
		`"` + strings.Repeat("a", 60) + `"...`, `<<"` + strings.Repeat("b", 60) + `"...>>`,
	}, strings.Split(strings.TrimSpace(out), "\n"))
}

// Processes that speak to other nodes know the cookie.
func TestWhatTheKernelDoesIsNotTold(t *testing.T) {
	out := erl(t, compiled(t), "", "-eval", `
		Kernel = spawn(fun() -> ok end), Child = spawn(fun() -> ok end), Other = spawn(fun() -> ok end),
		C0 = scope_event:new(#{service => <<"s">>, node => <<"n">>, print => 9, kernel => [Kernel]}),
		Run = fun(Trace, {Told, C}) -> {Events, C1} = scope_event:events(Trace, C), {Told ++ [length(Events)], C1} end,
		At = {1, 2},
		{Told, _} = lists:foldl(Run, {[], C0}, [
			{trace_ts, Kernel, 'receive', secret, At},
			{trace_ts, Child, spawned, Kernel, {m, f, []}, At},
			{trace_ts, Child, 'receive', secret, At},
			{trace_ts, Other, send, question, Child, At},
			{trace_ts, Other, send, question, Other, At},
			{trace_ts, Child, exit, normal, At},
			{trace_ts, Child, 'receive', another, At}]),
		io:format("~0p", [Told]), halt(0).`)
	require.Equal(t, "[0,0,0,0,1,0,1]", out)
}

// What becomes of what the runtime says: the table in docs/beam.md.
func TestEventsOfTraceMessages(t *testing.T) {
	tests := []struct{ trace, want string }{
		{`{trace_ts, P, call, {m, f, 1}, At}`, `call m:f/1`},
		{`{trace_ts, P, call, {m, handle_cast, 2}, {handles, {'$gen_cast', go}}, At}`, `call m:handle_cast/2 hash`},
		{`{trace_ts, P, exception_from, {m, f, 1}, {throw, {no, 1}}, At}`, `return m:f/1 throw no`},
		{`{trace_ts, P, send, {'$gen_cast', go}, P, At}`, `send go peer hash`},
		{`{trace_ts, P, send, hello, nobody, At}`, `send hello hash`},
		{`{trace_ts, P, 'receive', {'$gen_cast', go}, At}`, `receive go arrived hash`},
		{`{trace_ts, P, 'receive', timeout, At}`, ``},
		{`{trace_ts, P, 'receive', {'EXIT', P, boom}, At}`, `receive EXIT arrived exit peer hash`},
		{`{trace_ts, P, 'receive', {'DOWN', r, process, P, boom}, At}`, `receive DOWN arrived down peer hash`},
		{`{trace_ts, P, 'receive', {'DOWN', r, process, {n, node()}, boom}, At}`, `receive DOWN arrived hash`},
		{`{trace_ts, P, spawn, P, {proc_lib, init_p, [P, [], gen, init_it, [gen_server, P, P, {local, pay}, m, [], []]]}, At}`, `spawn pay child`},
		{`{trace_ts, P, spawn, P, {proc_lib, init_p, [P, [], gen, init_it, [gen_server, P, P, m, [], []]]}, At}`, `spawn m:init/1 child`},
		{`{trace_ts, P, spawn, P, {proc_lib, init_p, [P, [], gen, init_it, [gen_server, P, P, supervisor, {self, s, []}, []]]}, At}`, `spawn s:init/1 child`},
		{`{trace_ts, P, spawn, P, {m, f, [1, 2]}, At}`, `spawn m:f/2 child`},
		{`{trace_ts, P, exit, {shutdown, 1}, At}`, `exit`},
		{`{trace_ts, P, exit, {{bad, 1}, [{m, f, 1, [{file, "m.erl"}, {line, 7}]}]}, At}`, `exit error bad`},
		{`{trace_ts, P, exit, killed, At}`, `exit exit killed`},
		{`{trace_ts, P, link, P, At}`, ``},
	}
	var traces, want []string
	for _, tt := range tests {
		traces, want = append(traces, tt.trace), append(want, tt.want)
	}
	out := erl(t, compiled(t), "", "-eval", `
		P = self(), At = {1, 2},
		C = scope_event:new(#{service => <<"s">>, node => <<"n">>, print => 9, kernel => []}),
		[case scope_event:events(Trace, C) of
			{[], _} -> io:format("{}~n");
			{Events, _} -> io:format("~ts", [iolist_to_binary(Events)])
		end || Trace <- [`+strings.Join(traces, ",\n")+`]],
		halt(0).`)
	var got []string
	hashes := map[string]int{}
	for line := range strings.Lines(out) {
		var e struct {
			Kind, Name, Phase, Signal, Outcome, Peer, Child string
			Error                                           struct{ Type string }
			Hash                                            string `json:"message_hash"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		words := []string{e.Kind, e.Name, e.Phase, e.Signal, e.Outcome, e.Error.Type}
		for _, has := range [][2]string{{"peer", e.Peer}, {"child", e.Child}, {"hash", e.Hash}} {
			if has[1] != "" {
				words = append(words, has[0])
			}
		}
		got = append(got, strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		hashes[e.Hash]++
	}
	require.Equal(t, want, got)
	delete(hashes, "")
	require.Len(t, hashes, 5, "the cast has one hash, sent, arrived and handled")
}

// State machines of both callback modes, by real gen_statem.
func TestStatesOfMachines(t *testing.T) {
	r := &receiver{next: []func(http.ResponseWriter){status(200)}}
	server := httptest.NewServer(r)
	defer server.Close()
	out := erl(t, compiled(t), "SCOPE_EVENTS="+server.URL, "-eval", `
		[{ok, _} = compile:file(filename:join("testdata", M), [{outdir, filename:dirname(code:which(scope_tracer))}]) || M <- [door, gate]],
		{ok, _} = scope_tracer:start(#{endpoint => os:getenv("SCOPE_EVENTS"), modules => [door, gate]}),
		ok = scope_tracer:trace(new),
		{ok, Door} = gen_statem:start(door, [], []),
		0 = gen_statem:call(Door, push),
		ok = gen_statem:cast(Door, look),
		Wait = fun Wait() -> case sys:get_state(Door) of {shut, 1} -> ok; _ -> Wait() end end,
		ok = Wait(),
		{ok, Gate} = gen_statem:start(gate, [], []),
		ok = gen_statem:call(Gate, push),
		Gate ! pull,
		{{shut, 2}, none} = sys:get_state(Gate),
		ok = scope_tracer:flush(),
		io:format("~ts ~ts", [pid_to_list(Door), pid_to_list(Gate)]),
		halt(0).`)
	processes := strings.Fields(out)
	got := map[string][]string{}
	arrived := map[string]string{}
	for line := range bytes.Lines(bytes.Join(r.bodies, nil)) {
		var e struct {
			Kind, Process, Name, From, To, Phase string
			Hash                                 string `json:"message_hash"`
		}
		require.NoError(t, json.Unmarshal(line, &e), string(line))
		switch {
		case e.Kind == "receive" && e.Phase == "arrived":
			arrived[e.Hash] = e.Name
		case e.Kind == "call":
			got[e.Process] = append(got[e.Process], strings.TrimSpace(e.Name+" "+arrived[e.Hash]))
		case e.Kind == "state":
			got[e.Process] = append(got[e.Process], "state "+e.Name+" "+e.From+" -> "+e.To)
		}
	}
	require.Equal(t, []string{
		"door:init/1", "state door  -> shut",
		"door:shut/3 push", "state door shut -> open",
		"door:open/3 look",
		"door:open/3", "state door open -> shut",
	}, got[processes[0]])
	require.Equal(t, []string{
		"gate:init/1", "state gate  -> {shut,1}",
		"gate:handle_event/4 push", "state gate {shut,1} -> {open,1}",
		"gate:handle_event/4 pull", "state gate {open,1} -> {shut,2}",
	}, got[processes[1]])
}

// receiver answers with what comes next, the last for ever, and keeps bodies.
type receiver struct {
	mu     sync.Mutex
	next   []func(http.ResponseWriter)
	bodies [][]byte
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && req.Header.Get("Content-Type") == "application/x-ndjson" {
		r.bodies = append(r.bodies, body)
	}
	answer := r.next[0]
	if len(r.next) > 1 {
		r.next = r.next[1:]
	}
	answer(w)
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"accepted":1,"rejected":[]}`)
	}
}

func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func TestABodyIsSentUnchangedUntilItIsTaken(t *testing.T) {
	r := &receiver{next: []func(http.ResponseWriter){status(503), status(429), hangUp, status(200), status(400)}}
	server := httptest.NewServer(r)
	defer server.Close()
	out := erl(t, compiled(t), "SCOPE_EVENTS="+server.URL, "-eval", `
		{_, P} = scope_http:start_link(os:getenv("SCOPE_EVENTS")),
		[begin
			scope_http:post(P, Tag, [<<"bo">>, "dy ", atom_to_binary(Tag)]),
			receive {posted, Tag, Status, Answer} -> io:format("~p ~p ~s ~p~n", [Tag, Status, Answer, scope_http:idle(P)]) end
		end || Tag <- [one, two]],
		halt(0).`)
	require.Equal(t, "one 200 {\"accepted\":1,\"rejected\":[]} true\ntwo 400 {\"accepted\":1,\"rejected\":[]} true\n", out)
	require.Equal(t, [][]byte{[]byte("body one"), []byte("body one"), []byte("body one"), []byte("body one"), []byte("body two")}, r.bodies)
}

// While nothing is taken the buffer fills, and what was dropped is told.
func TestDroppedEventsAreCountedAndTold(t *testing.T) {
	var next []func(http.ResponseWriter)
	for range 5 {
		next = append(next, func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
	}
	r := &receiver{next: append(next, status(200))}
	server := httptest.NewServer(r)
	defer server.Close()
	out := erl(t, compiled(t), "SCOPE_EVENTS="+server.URL, "-eval", `
		{ok, _} = scope_tracer:start(#{endpoint => os:getenv("SCOPE_EVENTS"), service => <<"full">>}),
		ok = scope_tracer:trace(new),
		{P, M} = spawn_monitor(fun() -> [self() ! {n, N} || N <- lists:seq(1, 60000)] end),
		receive {'DOWN', M, process, P, _} -> ok end,
		ok = scope_tracer:flush(),
		#{sent := S, dropped := D} = scope_tracer:stats(),
		io:format("~p ~p~n", [S, D]),
		halt(0).`)
	var sent, dropped, told int
	_, err := fmt.Sscan(out, &sent, &dropped)
	require.NoError(t, err, out)
	require.Positive(t, dropped)

	distinct := map[string]bool{}
	for line := range bytes.Lines(bytes.Join(r.bodies, nil)) {
		var e struct {
			ID, Name   string
			Attributes struct{ Count int }
		}
		require.NoError(t, json.Unmarshal(line, &e), string(line))
		distinct[e.ID] = true
		told += e.Attributes.Count
	}
	require.Len(t, distinct, sent)
	require.Equal(t, dropped, told)
}
