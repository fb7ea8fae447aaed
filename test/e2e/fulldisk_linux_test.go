package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// smallDisk mounts a file system of this many MiB, or skips the test where
// that is not allowed.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("a small file system cannot be mounted here (%v): needs root", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// smallLog makes log segments small, so that a small disk is filled by data
// and not by preallocation.
func smallLog(config string) string {
	return strings.Replace(config, "      sync: true\n", "      sync: true\n      cut_bytes: 4MiB\n", 1)
}

// fill sends batches until one is refused, and returns the ids that were
// acknowledged and the refusal.
func fill(t *testing.T, c *collector, prefix string) (acknowledged []string, refusal answer) {
	t.Helper()
	padding := strings.Repeat("x", 900)
	for i := 0; i < 2000; i++ {
		var lines []string
		for j := range 100 {
			lines = append(lines, fmt.Sprintf(`{"id":"%s-%d-%d","kind":"mark","time":%s,"process":"p%d","name":"fill","attributes":{"pad":"%s%x"}}`,
				prefix, i, j, now(), j, padding, i*j*2654435761))
		}
		got := c.send(lines...)
		if got.status != http.StatusOK {
			return acknowledged, got
		}
		for j := range 100 {
			acknowledged = append(acknowledged, fmt.Sprintf("%s-%d-%d", prefix, i, j))
		}
	}
	t.Fatal("the disk does not fill")
	return nil, answer{}
}

func sample(ids []string) []string {
	step := max(1, len(ids)/200)
	var some []string
	for i := 0; i < len(ids); i += step {
		some = append(some, ids[i])
	}
	return append(some, ids[len(ids)-1])
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 96)
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 32<<20), 0o600))
	c := newCollector(t, filepath.Join(dir, "data"), smallLog)
	c.start()

	acknowledged, refusal := fill(t, c, "a")
	require.Contains(t, []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}, refusal.status, string(refusal.body))
	require.NotEmpty(t, refusal.header.Get("Retry-After"))
	t.Logf("refused after %d events: %d, Retry-After %s, %s", len(acknowledged), refusal.status, refusal.header.Get("Retry-After"), refusal.body)
	for _, id := range sample(acknowledged) {
		c.event(id)
	}

	t.Run("SIGTERM on a full disk", func(t *testing.T) {
		t.Logf("ended %s after SIGTERM", c.terminate())
		c.start()
		for _, id := range sample(acknowledged) {
			c.event(id)
		}
	})

	t.Run("kill on a full disk", func(t *testing.T) {
		c.kill()
		c.start()
		for _, id := range sample(acknowledged) {
			c.event(id)
		}
	})

	t.Run("goes on when space returns", func(t *testing.T) {
		require.NoError(t, os.Remove(ballast))
		line := `{"id":"after","kind":"mark","time":` + now() + `,"process":"p","name":"after"}`
		require.Eventually(t, func() bool { return c.send(line).status == http.StatusOK }, patience, 100*time.Millisecond)
		require.Equal(t, "after", c.event("after").Name)
		for _, id := range sample(acknowledged) {
			c.event(id)
		}
	})
}
