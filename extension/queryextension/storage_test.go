package queryextension

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

var correlate = component.MustNewID("correlate")

// keeping starts an extension whose folder is dir; what it logs is observed.
func keeping(t *testing.T, dir string) (*queryExtension, *observer.ObservedLogs) {
	cfg := testConfig()
	cfg.Storage.Directory = dir
	set := extensiontest.NewNopSettings(metadata.Type)
	core, logs := observer.New(zap.ErrorLevel)
	set.Logger = zap.New(core)
	e := newExtension(cfg, set, opens(storetest.NewModel(time.Now)))
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e, logs
}

func stateOf(t *testing.T, e *queryExtension, id component.ID, name string) storage.Client {
	c, err := e.GetClient(t.Context(), component.KindProcessor, id, name)
	require.NoError(t, err)
	return c
}

func value(t *testing.T, c storage.Client, key string) string {
	v, err := c.Get(t.Context(), key)
	require.NoError(t, err)
	return string(v)
}

func TestStateIsNotMadeWithoutAClient(t *testing.T) {
	dir := t.TempDir()
	keeping(t, dir)
	require.NoFileExists(t, filepath.Join(dir, stateName))
}

func TestStateClient(t *testing.T) {
	ctx := t.Context()
	e, _ := keeping(t, t.TempDir())
	c := stateOf(t, e, correlate, "")

	v, err := c.Get(ctx, "a")
	require.NoError(t, err)
	require.Nil(t, v, "what was never set")
	require.NoError(t, c.Delete(ctx, "a"))
	require.NoError(t, c.Set(ctx, "a", []byte("1")))
	require.NoError(t, c.Set(ctx, "a", []byte("2")))
	require.Equal(t, "2", value(t, c, "a"))
	require.NoError(t, c.Delete(ctx, "a"))
	require.Empty(t, value(t, c, "a"))

	before, after := storage.GetOperation("b"), storage.GetOperation("b")
	require.NoError(t, c.Batch(ctx, before, storage.SetOperation("b", []byte("3")), after, storage.DeleteOperation("c")))
	require.Nil(t, before.Value)
	require.Equal(t, []byte("3"), after.Value)

	after.Value[0] = 'x'
	require.Equal(t, "3", value(t, c, "b"), "a value that was read is the reader's own")

	require.ErrorContains(t, c.Batch(ctx, storage.SetOperation("b", []byte("4")), &storage.Operation{Key: "d", Type: 9}), `key "d": unknown operation 9`)
	require.Equal(t, "3", value(t, c, "b"), "a batch that fails does nothing")
	require.ErrorContains(t, c.Set(ctx, "", nil), "key required")

	gone, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, c.Set(gone, "b", nil), context.Canceled)
}

func TestStateOfEachClientIsItsOwn(t *testing.T) {
	e, _ := keeping(t, t.TempDir())
	one := stateOf(t, e, correlate, "")
	for _, other := range []storage.Client{
		stateOf(t, e, correlate, "other"),
		stateOf(t, e, component.MustNewIDWithName("correlate", "second"), ""),
	} {
		require.NoError(t, one.Set(t.Context(), "a", []byte("1")))
		require.NoError(t, other.Set(t.Context(), "a", []byte("2")))
		require.Equal(t, "1", value(t, one, "a"))
	}
}

func TestStateHasOneClientOfAName(t *testing.T) {
	e, _ := keeping(t, t.TempDir())
	c := stateOf(t, e, correlate, "")
	_, err := e.GetClient(t.Context(), component.KindProcessor, correlate, "")
	require.ErrorContains(t, err, `state of Processor "correlate" in "`+e.state.path+`": it is in use already`)

	for range 2 {
		require.NoError(t, c.Close(t.Context()))
	}
	require.ErrorContains(t, c.Set(t.Context(), "a", nil), "the client is closed")
	again := stateOf(t, e, correlate, "")
	require.NoError(t, c.Close(t.Context()))
	_, err = e.GetClient(t.Context(), component.KindProcessor, correlate, "")
	require.Error(t, err, "closing the old client again does not free the name")
	require.NoError(t, again.Close(t.Context()))
}

func TestStateSurvives(t *testing.T) {
	dir := t.TempDir()
	e, _ := keeping(t, dir)
	c := stateOf(t, e, correlate, "")
	require.NoError(t, c.Set(t.Context(), "a", []byte("1")))

	// What is in the file at any moment is what a killed process leaves.
	killed := t.TempDir()
	contents, err := os.ReadFile(e.state.path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(killed, stateName), contents, 0o600))
	after, _ := keeping(t, killed)
	require.Equal(t, "1", value(t, stateOf(t, after, correlate, ""), "a"))

	require.NoError(t, e.Shutdown(t.Context()))
	require.Error(t, c.Set(t.Context(), "a", []byte("2")), "the extension is shut down")
	_, err = e.GetClient(t.Context(), component.KindProcessor, correlate, "late")
	require.ErrorContains(t, err, "the extension is shut down")

	again, _ := keeping(t, dir)
	require.Equal(t, "1", value(t, stateOf(t, again, correlate, ""), "a"))
}

func TestDamagedStateIsPutAside(t *testing.T) {
	// A file with several pages in use.
	dir := t.TempDir()
	e, _ := keeping(t, dir)
	c := stateOf(t, e, correlate, "")
	for i := range 64 {
		require.NoError(t, c.Set(t.Context(), string(rune('A'+i)), bytes.Repeat([]byte("v"), 1000)))
	}
	used := 0
	require.NoError(t, e.state.db.View(func(tx *bolt.Tx) error {
		used = int(tx.Size())
		return nil
	}))
	require.NoError(t, e.Shutdown(t.Context()))
	good, err := os.ReadFile(filepath.Join(dir, stateName))
	require.NoError(t, err)
	page := os.Getpagesize()

	for name, bad := range map[string][]byte{
		"no such file at all":    []byte("not a database"),
		"cut after the head":     good[:3*page],
		"cut before the end":     good[:used/2],
		"a byte is missing":      good[:used-1],
		"pages of zeros":         append(bytes.Clone(good[:2*page]), make([]byte, len(good)-2*page)...),
		"pages of ones":          append(bytes.Clone(good[:2*page]), bytes.Repeat([]byte{0xff}, len(good)-2*page)...),
		"both heads overwritten": append(make([]byte, 2*page), good[2*page:]...),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, stateName)
			require.NoError(t, os.WriteFile(path, bad, 0o600))
			e, logs := keeping(t, dir)
			c := stateOf(t, e, correlate, "")
			require.Empty(t, value(t, c, "A"))
			require.NoError(t, c.Set(t.Context(), "A", []byte("new")))
			require.Len(t, logs.FilterMessageSnippet("is damaged").All(), 1)

			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 2)
			require.True(t, strings.HasPrefix(entries[1].Name(), stateName+".damaged-"), entries[1].Name())
			aside, err := os.ReadFile(filepath.Join(dir, entries[1].Name()))
			require.NoError(t, err)
			require.Equal(t, bad, aside, "nothing is done to what is put aside")
		})
	}
}

func TestStateThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	e, logs := keeping(t, filepath.Join(dir, "missing"))
	_, err := e.GetClient(t.Context(), component.KindProcessor, correlate, "")
	require.ErrorIs(t, err, os.ErrNotExist)

	e, _ = keeping(t, dir)
	require.NoError(t, os.Mkdir(e.state.path, 0o700))
	_, err = e.GetClient(t.Context(), component.KindProcessor, correlate, "")
	require.Error(t, err)
	require.DirExists(t, e.state.path, "what is no damage stays where it is")

	dir = t.TempDir()
	other, err := bolt.Open(filepath.Join(dir, stateName), 0o600, nil)
	require.NoError(t, err)
	e, _ = keeping(t, dir)
	_, err = e.GetClient(t.Context(), component.KindProcessor, correlate, "")
	require.ErrorIs(t, err, berrors.ErrTimeout, "another process has the file")
	require.NoError(t, other.Close())
	stateOf(t, e, correlate, "")
	require.Empty(t, logs.All())
}
