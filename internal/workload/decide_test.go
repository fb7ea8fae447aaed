package workload

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// script makes steps of lines: ID KIND PROCESS [FIELD=VALUE]..., where cause
// names what sent the message. Processes whose names begin alike share a node.
func script(t *testing.T, text string) (steps []Step) {
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		e := event.Event{ID: words[0], Service: "s", Node: "n" + words[2][:1], Process: words[2], Time: int64(i + 1)}
		for k := event.KindCall; k <= event.KindMark; k++ {
			if k.String() == words[1] {
				e.Kind = k
			}
		}
		if words[1] == "arrived" {
			e.Kind, e.Arrived = event.KindReceive, true
		}
		s := Step{Event: e, Span: e.ID, Activity: e.ID}
		for _, word := range words[3:] {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "to", "of":
				s.Event.Peer, s.Event.PeerNode = value, "n"+value[:1]
			case "hash":
				s.Event.MessageHash = value
			case "id":
				s.Event.MessageID = value
			case "parent":
				s.Parent = value
			case "at":
				_, err := fmt.Sscan(value, &s.Event.Time)
				require.NoError(t, err)
			case "cause":
				s.Causes = []Cause{{Type: causal.MessageFlow, ID: value}}
			case "ref":
				s.Event.Cause = &event.Ref{ID: value}
			}
		}
		steps = append(steps, s)
	}
	return steps
}

func TestDecide(t *testing.T) {
	cases := map[string]struct {
		script    string
		slack     int
		undecided string
	}{
		"one sender, in order": {script: `
			s1 send a to=r hash=h
			s2 send a to=r hash=h
			r1 receive r hash=h cause=s1
			r2 receive r hash=h cause=s2`},
		"one sender, the effects first": {script: `
			r1 receive r hash=h cause=s1
			r2 receive r hash=h cause=s2
			s1 send a to=r hash=h
			s2 send a to=r hash=h`},
		"two senders at once": {script: `
			s1 send a to=r hash=h
			s2 send b to=r hash=h
			r1 receive r hash=h cause=s1
			r2 receive r hash=h cause=s2`, undecided: "r1 r2"},
		"two senders one after another": {script: `
			s1 send a to=r hash=h
			r1 receive r hash=h cause=s1
			s2 send b to=r hash=h
			r2 receive r hash=h cause=s2`},
		"two senders too close": {script: `
			s1 send a to=r hash=h
			r1 receive r hash=h cause=s1
			s2 send b to=r hash=h
			r2 receive r hash=h cause=s2`, slack: 3, undecided: "r1 r2"},
		"two senders whom the receiver tells apart": {script: `
			s1 send a to=r hash=h
			s2 send b to=r hash=h
			r2 receive r hash=h of=b cause=s2
			r1 receive r hash=h of=a cause=s1`},
		"the other's effect first": {script: `
			s1 send a to=r hash=h
			r2 receive r hash=h cause=s2
			r1 receive r hash=h cause=s1
			s2 send b to=r hash=h`, undecided: "r1 r2"},
		"a lost receive": {script: `
			s1 send a to=r hash=h
			s2 send a to=r hash=h
			r2 receive r hash=h cause=s2`, undecided: "r2"},
		"a lost receive, and a new life": {script: `
			s1 send a to=r hash=h
			x exit r
			s2 send a to=r hash=h
			r2 receive r hash=h cause=s2`},
		"a message to nobody, told before the exit that came before it": {script: `
			s1 send r9 to=r hash=h at=5
			x exit r at=4
			s2 send r9 to=r hash=h at=6
			r2 receive r hash=h cause=s2 at=7`, undecided: "r2"},
		"a lost send": {script: `
			r1 receive r hash=h
			s2 send a to=r hash=h
			r2 receive r hash=h cause=s2`, undecided: "r1 r2"},
		"a stranger's": {script: `
			s1 send a to=r hash=h
			r0 receive r hash=h of=stranger
			r1 receive r hash=h of=a cause=s1`},
		"an id again, in order": {script: `
			s1 send a to=r id=m
			r1 receive r id=m cause=s1
			s2 send b to=r id=m
			r2 receive r id=m cause=s2`},
		"an id again, the effect first": {script: `
			s1 send a to=r id=m
			r1 receive r id=m cause=s1
			r2 receive r id=m cause=s2
			s2 send b to=r id=m`, undecided: "r2"},
		"an id again, both before": {script: `
			s1 send a to=r id=m
			s2 send b to=r id=m
			r1 receive r id=m cause=s1
			r2 receive r id=m cause=s2`, undecided: "r1"},
		"an id again, by one clock": {script: `
			s1 send r9 to=r id=m at=1
			s2 send r9 to=r id=m at=9
			r1 receive r id=m cause=s1 at=2
			r2 receive r id=m cause=s2 at=10`},
		"an id whose send is lost": {script: `
			s1 send a to=r id=m
			r1 receive r id=m cause=s1
			r2 receive r id=m`, undecided: "r2"},
		"ids of other receivers, and to several": {script: `
			s1 send a to=q id=m
			s2 send a id=m
			s3 send b to=r id=m
			r3 receive r id=m cause=s3`},
		"by reference": {script: `
			s1 send a to=r hash=h
			r1 receive r hash=h ref=s1 cause=s1
			s2 send b to=r hash=h`},
		"arrived, then handled in order": {script: `
			s1 send a to=r hash=h
			s2 send a to=r hash=h
			a1 arrived r hash=h cause=s1
			a2 arrived r hash=h cause=s2
			c1 call r hash=h cause=a1
			t2 receive r hash=h cause=a2`},
		"an equal arrival lost": {script: `
			s1 send a to=r hash=h
			s2 send a to=r hash=h
			a2 arrived r hash=h cause=s2
			c1 call r hash=h cause=s1
			c2 call r hash=h cause=a2`, undecided: "a2 c1 c2"},
		"an arrival lost, of one of two senders that are told apart": {script: `
			s1 send a to=r hash=h
			s2 send a to=r hash=h
			s3 send b to=r hash=h
			a2 arrived r hash=h of=a cause=s2
			a3 arrived r hash=h of=b cause=s3
			t1 receive r hash=h of=a cause=s1
			t3 receive r hash=h of=b cause=a3`, undecided: "a2 t1"},
		"two of one id wait": {script: `
			s1 send a to=r id=m
			a1 arrived r id=m of=a cause=s1
			s2 send b to=r id=m
			a2 arrived r id=m of=b cause=s2
			c1 call r id=m cause=a1
			c2 call r id=m cause=a2`, undecided: "c1 c2"},
		"handled blindly, one waits": {script: `
			a1 arrived r id=m1
			c1 call r cause=a1
			a2 arrived r id=m2
			c2 call r cause=a2
			c3 call r`},
		"handled blindly, two wait": {script: `
			a1 arrived r id=m1
			a2 arrived r id=m2
			c1 call r cause=a1
			c2 call r cause=a2
			a3 arrived r id=m3
			c3 call r cause=a3`, undecided: "c1 c2"},
		"something else while one waits": {script: `
			a1 arrived r id=m1
			c0 call r
			c1 call r cause=a1
			i1 call r parent=c1`, undecided: "c0 c1"},
		"a blind one whose arrival is lost": {script: `
			s1 send a to=r id=m1
			c1 call r cause=s1`, undecided: "c1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			steps := script(t, c.script)
			Decide(steps, c.slack)
			var got []string
			for _, s := range steps {
				if len(s.Undecided) > 0 {
					got = append(got, s.Event.ID)
					require.Equal(t, []causal.Type{causal.MessageFlow}, s.Undecided)
				}
			}
			require.ElementsMatch(t, strings.Fields(c.undecided), got)
		})
	}
}
