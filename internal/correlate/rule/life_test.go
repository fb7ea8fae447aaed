package rule

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

func TestLives(t *testing.T) {
	spawn := native("spawn", spanOf{"name": "spawn worker", "scope.child.id": "c"})
	first := native("call", spanOf{"scope.process.id": "c", "scope.process.first": true, "parent": true})
	crash := native("exit", spanOf{"scope.process.id": "c", "scope.outcome": "exception", "error": true})
	down := native("receive", spanOf{"scope.signal": "down", "scope.peer.id": "c"})
	failing := native("call", spanOf{
		"scope.process.id": "c", "scope.call.state": "returned", "scope.outcome": "exception", "error": true, "parent": true,
	})
	const node = "resource:service.instance.id"
	for name, c := range map[string]struct {
		spans []spanOf
		want  []string
	}{
		"first event":             {[]spanOf{spawn, first}, []string{"1 -> 2 process_spawn spawn 1"}},
		"spawn seen last":         {[]spanOf{first, spawn.with("at", 1)}, []string{"2 -> 1 process_spawn spawn 1"}},
		"not the first":           {[]spanOf{spawn, first.with("scope.process.first", false)}, nil},
		"one first event a spawn": {[]spanOf{spawn, first, first}, []string{"1 -> 2 process_spawn spawn 1"}},
		"on another node": {
			[]spanOf{spawn.with("scope.child.node", "far"), first, first.with(node, "far")},
			[]string{"1 -> 3 process_spawn spawn 1"},
		},
		"a spawn of nobody":            {[]spanOf{spawn.with("scope.child.id", ""), first}, nil},
		"exit signal":                  {[]spanOf{crash, down}, []string{"1 -> 2 error_propagation exit_signal 1"}},
		"one signal to each":           {[]spanOf{crash, down, down, down.with("scope.process.id", "x")}, []string{"1 -> 2 error_propagation exit_signal 1", "1 -> 4 error_propagation exit_signal 1"}},
		"normal exit":                  {[]spanOf{crash.with("scope.outcome", ""), down}, nil},
		"normal exit that says so":     {[]spanOf{crash.with("scope.outcome", "normal"), down}, nil},
		"signal from elsewhere":        {[]spanOf{crash, down.with("scope.peer.node", "far")}, nil},
		"signal from nobody":           {[]spanOf{crash, down.with("scope.peer.id", "")}, nil},
		"exit of no process":           {[]spanOf{crash.with("scope.process.id", ""), down}, nil},
		"failed return":                {[]spanOf{failing, crash}, []string{"1 -> 2 error_propagation failed_return 0.9"}},
		"failed return without a call": {[]spanOf{failing.with("scope.event.kind", "return").with("scope.call.state", "orphan"), crash}, []string{"1 -> 2 error_propagation failed_return 0.9"}},
		"return that was well":         {[]spanOf{failing.with("scope.outcome", ""), crash}, nil},
		"failed return, then another": {
			[]spanOf{failing, native("mark", spanOf{"scope.process.id": "c"}), crash}, nil,
		},
		"calls that the exit abandoned do not come between": {
			[]spanOf{failing, first.with("scope.call.state", "abandoned").with("scope.process.first", false), crash},
			[]string{"1 -> 3 error_propagation failed_return 0.9"},
		},
		"respawn": {
			[]spanOf{spawn, crash, spawn.with("scope.child.id", "d")},
			[]string{"2 -> 3 error_propagation respawn 0.9"},
		},
		"respawn on another node": {
			[]spanOf{spawn.with("scope.child.node", "far"), crash.with(node, "far"), spawn.with("scope.child.node", "far").with("scope.child.id", "d")},
			[]string{"2 -> 3 error_propagation respawn 0.9"},
		},
		"spawn of another name":     {[]spanOf{spawn, crash, spawn.with("scope.child.id", "d").with("name", "spawn other")}, nil},
		"spawn by another":          {[]spanOf{spawn, crash, spawn.with("scope.child.id", "d").with("scope.process.id", "x")}, nil},
		"spawn after a normal exit": {[]spanOf{spawn, crash.with("scope.outcome", ""), spawn.with("scope.child.id", "d")}, nil},
		"one of several of a name": {
			[]spanOf{spawn, spawn.with("scope.child.id", "b"), crash, spawn.with("scope.child.id", "d")}, nil,
		},
		"one of a name that had several": {
			[]spanOf{spawn, spawn.with("scope.child.id", "b"), native("exit", spanOf{"scope.process.id": "b"}), crash, spawn.with("scope.child.id", "d")}, nil,
		},
		"after one that ended well": {
			[]spanOf{
				spawn.with("scope.child.id", "b"), native("exit", spanOf{"scope.process.id": "b"}),
				spawn, crash, spawn.with("scope.child.id", "d"),
			},
			[]string{"4 -> 5 error_propagation respawn 0.9"},
		},
		"spawn by nobody":           {[]spanOf{spawn.with("scope.process.id", ""), crash, spawn.with("scope.child.id", "d")}, nil},
		"first event of no process": {[]spanOf{spawn, first.with("scope.process.id", "")}, nil},
		"messages of an earlier life": {
			[]spanOf{
				native("send", spanOf{"scope.peer.id": "c", "scope.message.hash": "h"}),
				crash,
				native("receive", spanOf{"scope.process.id": "c", "scope.message.hash": "h"}),
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, edges(t, compile(t), c.spans...))
		})
	}
}

// What the end of a call tells is done though the call was seen open.
func TestCallsThatWereSeenOpen(t *testing.T) {
	open := native("call", spanOf{"scope.event.id": "e", "scope.call.state": "open", "scope.process.id": "c", "name": "cause", "k": "v"})
	complete := open.with("scope.call.state", "returned").with("scope.return.event.id", "r").with("scope.outcome", "error").with("scope.cause", "e0")
	s := compile(t, keyed([]string{"k"}, []string{"k"}), Definition{
		Name: "more", Type: causal.MessageFlow, Confidence: 1,
		Cause:  End{When: `name == "other"`, Key: []string{"k"}},
		Effect: End{When: `name == "cause"`, Key: []string{"k"}},
	})
	o := extract(t, s, complete, open)
	require.Equal(t, correlate.Complete, o[0].Version)
	require.Equal(t, correlate.Open, o[1].Version)
	ends := func(o correlate.Observation) (of []string) {
		for _, op := range o.Ops {
			if op.End {
				of = append(of, s.Rules()[op.Rule].Name)
			}
		}
		return of
	}
	require.ElementsMatch(t, []string{
		"cause_message_flow", // what the return offers
		"cause_message_flow", // what its reference claims
		"failed_return", "last_failure", "mine", "more",
	}, ends(o[0]))
	require.Empty(t, ends(o[1]))
}

func TestStates(t *testing.T) {
	state := native("state", spanOf{"scope.entity.id": "order-1"})
	const version, from, to = "scope.entity.version", "scope.state.from", "scope.state.to"
	for name, c := range map[string]struct {
		spans []spanOf
		want  []string
	}{
		"versions": {
			[]spanOf{state.with(version, 1), state.with(version, 2).with("scope.process.id", "x").with("resource:service.instance.id", "far"), state.with(version, 4)},
			[]string{"1 -> 2 state_transition state_version 1"},
		},
		"versions, seen backwards": {
			[]spanOf{state.with(version, 2), state.with(version, 1).with("at", 1)},
			[]string{"2 -> 1 state_transition state_version 1"},
		},
		"versions of two":             {[]spanOf{state.with(version, 1), state.with(version, 2).with("scope.entity.id", "order-2")}, nil},
		"versions in two services":    {[]spanOf{state.with(version, 1), state.with(version, 2).with("resource:service.name", "other")}, nil},
		"versions of the process":     {[]spanOf{native("state", spanOf{version: 1}), native("state", spanOf{version: 2}), native("state", spanOf{version: 3, "scope.process.id": "x"})}, []string{"1 -> 2 state_transition state_version 1"}},
		"order":                       {[]spanOf{state.with(to, "b"), state.with(from, "b").with(to, "c")}, []string{"1 -> 2 state_transition state_order 0.9"}},
		"order of the process":        {[]spanOf{native("state", spanOf{to: "b"}), native("state", spanOf{from: "b", to: "c"})}, []string{"1 -> 2 state_transition state_order 0.9"}},
		"a gap":                       {[]spanOf{state.with(to, "b"), state.with(from, "c").with(to, "d")}, nil},
		"from is not said":            {[]spanOf{state.with(to, "b"), state.with(to, "c")}, nil},
		"order in another process":    {[]spanOf{state.with(to, "b"), state.with(from, "b").with("scope.process.id", "x")}, nil},
		"nobody's":                    {[]spanOf{native("state", spanOf{to: "b", "scope.process.id": ""}), native("state", spanOf{from: "b", "scope.process.id": ""})}, nil},
		"a version that is no number": {[]spanOf{state.with(version, "1"), state.with(version, "2")}, nil},
		"trigger": {
			[]spanOf{native("receive", spanOf{"scope.event.id": "e1"}), state.with("scope.trigger", "e1")},
			[]string{"1 -> 2 state_transition trigger 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, edges(t, compile(t), c.spans...))
		})
	}
}

func TestRecoveries(t *testing.T) {
	failure := native("error", spanOf{"scope.event.id": "e1", "scope.entity.id": "order-1", "error": true})
	recovered := native("recover", spanOf{"scope.entity.id": "order-1", "scope.process.id": "x"})
	ofProcess := failure.with("scope.entity.id", "")
	for name, c := range map[string]struct {
		spans []spanOf
		want  []string
	}{
		"of the entity":          {[]spanOf{failure, recovered}, []string{"1 -> 2 error_propagation last_failure 0.9"}},
		"the last":               {[]spanOf{failure, failure, recovered}, []string{"2 -> 3 error_propagation last_failure 0.9"}},
		"of another":             {[]spanOf{failure, recovered.with("scope.entity.id", "order-2")}, nil},
		"of the process":         {[]spanOf{ofProcess, native("recover", nil)}, []string{"1 -> 2 error_propagation last_failure 0.9"}},
		"of another process":     {[]spanOf{ofProcess, native("recover", spanOf{"scope.process.id": "x"})}, nil},
		"of nobody":              {[]spanOf{ofProcess.with("scope.process.id", ""), native("recover", spanOf{"scope.process.id": ""})}, nil},
		"of a call":              {[]spanOf{native("call", spanOf{"scope.call.state": "returned", "scope.outcome": "error", "scope.entity.id": "order-1"}), recovered}, []string{"1 -> 2 error_propagation last_failure 0.9"}},
		"of an exit":             {[]spanOf{native("exit", spanOf{"scope.outcome": "error", "scope.entity.id": "order-1"}), recovered}, []string{"1 -> 2 error_propagation last_failure 0.9"}},
		"by reference":           {[]spanOf{failure, failure.with("scope.event.id", "e2"), recovered.with("scope.recovers", "e1")}, []string{"1 -> 3 error_propagation recovers 1"}},
		"by reference, too late": {[]spanOf{recovered.with("scope.recovers", "e1"), failure.with("at", 1)}, []string{"2 -> 1 error_propagation recovers 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, edges(t, compile(t), c.spans...))
		})
	}
}

func TestReferences(t *testing.T) {
	mark := native("mark", spanOf{"scope.event.id": "e/1"})
	refer := func(text string) spanOf { return native("mark", spanOf{"scope.cause": text, "scope.process.id": "x"}) }
	flow := []string{"1 -> 2 message_flow cause_message_flow 1"}
	for name, c := range map[string]struct {
		spans []spanOf
		want  []string
	}{
		"own":                   {[]spanOf{mark, refer("e%2F1")}, flow},
		"own, in full":          {[]spanOf{mark, refer("s/n/e%2F1")}, flow},
		"own, half":             {[]spanOf{mark, refer("s//e%2F1")}, flow},
		"own, the other half":   {[]spanOf{mark, refer("/n/e%2F1")}, flow},
		"other node":            {[]spanOf{mark, refer("s/far/e%2F1")}, nil},
		"from another node":     {[]spanOf{mark.with("resource:service.instance.id", "far"), refer("/far/e%2F1"), refer("e%2F1")}, flow},
		"badly written":         {[]spanOf{mark, refer("e/1")}, nil},
		"before it was seen":    {[]spanOf{refer("e%2F1"), mark.with("at", 1)}, []string{"2 -> 1 message_flow cause_message_flow 1"}},
		"a return":              {[]spanOf{native("call", spanOf{"scope.return.event.id": "r1", "scope.call.state": "returned"}), refer("r1")}, flow},
		"a message":             {[]spanOf{native("send", spanOf{"messaging.message.id": "m"}), refer("message/m")}, flow},
		"a message by an event": {[]spanOf{native("send", spanOf{"messaging.message.id": "m"}), refer("m")}, nil},
		"parent_child":          {[]spanOf{mark, refer("e%2F1").with("scope.cause.type", "parent_child")}, flow},
		"process_spawn":         {[]spanOf{mark, refer("e%2F1").with("scope.cause.type", "process_spawn")}, []string{"1 -> 2 process_spawn cause_process_spawn 1"}},
		"error_propagation":     {[]spanOf{mark, refer("e%2F1").with("scope.cause.type", "error_propagation")}, []string{"1 -> 2 error_propagation cause_error_propagation 1"}},
		"no type":               {[]spanOf{mark, refer("e%2F1").with("scope.cause.type", "magic")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, edges(t, compile(t), c.spans...))
		})
	}

	s, err := Compile([]causal.Type{causal.StateTransition}, nil, testWindow)
	require.NoError(t, err)
	require.Equal(t, []string{"1 -> 2 state_transition trigger 1"}, edges(t, s, mark, refer("e%2F1").with("scope.trigger", "e%2F1")))
	require.Empty(t, edges(t, s, native("send", spanOf{"messaging.message.id": "m"}), refer("message/m")))
}
