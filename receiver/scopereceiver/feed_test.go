package scopereceiver

import (
	"fmt"
	"math/bits"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/event"
)

// A part's keys are its processes, and say more than its partition does.
func TestSplitKeys(t *testing.T) {
	f := &feed{partitions: 64}
	all := make([]event.Event, 10_000)
	for i := range all {
		all[i] = event.Event{Service: "shop", Node: "n1", Process: fmt.Sprint("p", i)}
	}
	for _, p := range f.split(all, 0) {
		require.Greater(t, bits.OnesCount64(p.Keys), 32, "processes of one partition differ")
		var each uint64
		for _, e := range p.Work.events {
			alone := f.split([]event.Event{*e}, 0)
			require.Equal(t, p.Partition, alone[0].Partition)
			require.Equal(t, 1, bits.OnesCount64(alone[0].Keys))
			each |= alone[0].Keys
		}
		require.Equal(t, p.Keys, each)
	}
}

// What is important goes past what waits, but not past what its own process
// sent before.
func TestHighPriorityOvertakes(t *testing.T) {
	cfg := testConfig(t)
	cfg.Acknowledge, cfg.Workers, cfg.Ring.Partitions = acknowledgeBuffered, WorkersConfig{Min: 1, Max: 1}, 1
	cfg.Batch = BatchConfig{MinSize: 1, MaxSize: 1}
	r := start(t, cfg, nil)
	entered, hold := make(chan struct{}, 1), make(chan struct{})
	r.pipeline.set(func(ptrace.Traces) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-hold
		return nil
	})
	n := 0
	send := func(process, priority string) {
		n++
		body := at(process, fmt.Sprint(process, " ", priority, " ", n), "mark", n, fmt.Sprintf(`"name":"n","priority":%q`, priority))
		require.Equal(t, http.StatusOK, r.post(body).status)
	}
	send("p", "normal")
	<-entered
	send("p", "low")
	send("p", "low")
	send("q", "low")
	send("p", "high")
	send("r", "high")
	send("r", "high")
	close(hold)
	require.Eventually(t, func() bool { return len(r.pipeline.names()) == n }, time.Minute, time.Millisecond)
	require.Equal(t, []string{
		"p normal 1", "p low 2", "r high 6", "r high 7", "p low 3", "p high 5", "q low 4",
	}, r.pipeline.names())
}
