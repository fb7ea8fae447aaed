package collector

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/fake"
)

func TestMain(m *testing.M) {
	if os.Getenv(fake.Env) != "" {
		os.Exit(fake.Main(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T) (*Process, Addresses) {
	self, err := os.Executable()
	require.NoError(t, err)
	at, err := NewAddresses()
	require.NoError(t, err)
	dir := t.TempDir()
	configs, err := ScopeConfig(dir, "base.yaml", at, Storage{Directory: filepath.Join(dir, "data"), CutBytes: "1MiB", CutAge: "1s"}, true)
	require.NoError(t, err)
	p, err := Start(Settings{Binary: self, Configs: configs, Dir: dir, Env: []string{fake.Env + "=well"}})
	require.NoError(t, err)
	require.NoError(t, p.Ready(t.Context(), at.HealthURL()))
	return p, at
}

func TestProcessIsWatchedFromOutside(t *testing.T) {
	p, _ := start(t)
	cpu, err := p.CPU()
	require.NoError(t, err)
	require.GreaterOrEqual(t, cpu, time.Duration(0))
	rss, err := p.PeakRSS()
	require.NoError(t, err)
	require.Greater(t, rss, int64(1<<20))
	require.NoError(t, p.Stop(t.Context()))
	<-p.Done()
	_, err = p.CPU()
	require.Error(t, err)
	_, err = p.PeakRSS()
	require.Error(t, err)
}

func TestAPIFindsWhatWasSent(t *testing.T) {
	p, at := start(t)
	defer p.Kill()
	api := NewAPI(at.APIURL(), 2)
	defer api.Close()
	sender := loadgen.NewEvents(at.EventsURL(), 1)
	defer sender.Close()
	tmpl := loadgen.Events(1, 0, 1)
	require.NoError(t, sender.Send(t.Context(), tmpl.Fill(1, time.Now().UnixNano())))
	span, err := api.Event(t.Context(), tmpl.Text(1, 0))
	require.NoError(t, err)
	require.Equal(t, tmpl.Text(1, 0), span.EventID)
	none, err := api.Event(t.Context(), "none")
	require.NoError(t, err)
	require.Nil(t, none)
	spans, err := api.Trace(t.Context(), [16]byte{1})
	require.NoError(t, err)
	require.Empty(t, spans)
	stats, err := api.Store(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, stats.Spans)
	_, err = NewAPI("http://127.0.0.1:1", 1).Store(t.Context())
	require.Error(t, err)
}

func TestAProcessThatNeverGetsReady(t *testing.T) {
	p, err := Start(Settings{Binary: "/bin/sh", Dir: t.TempDir(), Configs: nil})
	require.NoError(t, err)
	require.ErrorContains(t, p.Ready(t.Context(), "http://127.0.0.1:1"), "ended before it was ready")
	p.Kill()

	p, _ = start(t)
	defer p.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, p.Ready(ctx, "http://127.0.0.1:1"), "does not get ready")
	_, err = Start(Settings{Binary: "/nonexistent", Dir: t.TempDir()})
	require.Error(t, err)
	_, err = Start(Settings{Binary: "/bin/sh", Dir: "/nonexistent"})
	require.Error(t, err)
}

func TestConfigs(t *testing.T) {
	dir := t.TempDir()
	configs, err := PlainConfig(dir, Addresses{Metrics: "127.0.0.1:9", Pprof: "127.0.0.1:8"}, true)
	require.NoError(t, err)
	body, err := os.ReadFile(configs[0])
	require.NoError(t, err)
	require.Contains(t, string(body), "pprof: {endpoint: \"127.0.0.1:8\"}")
	require.Contains(t, string(body), "port: 9}")
	_, err = PlainConfig("/nonexistent", Addresses{}, false)
	require.Error(t, err)
	_, err = ScopeConfig("/nonexistent", "", Addresses{}, Storage{}, false)
	require.Error(t, err)
}

func TestProcFiles(t *testing.T) {
	cpu, err := parseCPU("12 (a b) c) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0")
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, cpu)
	for _, bad := range []string{"", "12 (a) S 1", "12 (a) S 1 1 1 0 -1 4194560 1 0 0 0 x 50 0 0"} {
		_, err := parseCPU(bad)
		require.Error(t, err, bad)
	}
	rss, err := parseMemory("Name:\tx\nVmHWM:\t   12 kB\n", "VmHWM:")
	require.NoError(t, err)
	require.EqualValues(t, 12<<10, rss)
	_, err = parseMemory("Name:\tx\n", "VmRSS:")
	require.Error(t, err)
}

func TestEnvironmentIsNamed(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	e := Describe(self, t.TempDir(), "100", "off")
	require.Positive(t, e.Cores)
	require.NotEmpty(t, e.CPU)
	require.Contains(t, e.Go, "go1.")
	require.Contains(t, e.Kernel, "Linux")
	require.NotEmpty(t, e.FileSystem)
	require.Equal(t, "unknown", field("a: b", "c"))
	for magic, name := range map[int64]string{0x01021994: "tmpfs", 0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlayfs", 1: "other"} {
		require.Equal(t, name, fileSystem(magic))
	}
}
