package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// demo sends what make demo sends.
func (c *collector) demo() {
	c.t.Helper()
	out, err := exec.Command(filepath.Join(root, "bin", "scopegen"), "demo",
		"-endpoint", "http://"+c.events+"/v1/events", "-api", "http://"+c.api).CombinedOutput()
	require.NoError(c.t, err, string(out))
}

// A reader who has just run make demo sees a failure's chain in two clicks:
// here it takes one, and the second goes on along the chain.
func TestAReaderSeesAFailuresChain(t *testing.T) {
	b := startBrowser(t, 1400, 900)
	c := startCollector(t)
	front := "http://" + c.api + "/"
	b.open(front)
	require.Contains(t, b.text("main"), "Nothing is stored yet")
	require.Contains(t, b.text("main"), "make demo")

	c.demo()
	b.open(front)
	require.Positive(t, b.count("#failures ~ div tbody tr"))
	require.Equal(t, 20, b.count("#latest ~ div tbody tr"))

	// The latest of them.
	const failure = `#failures ~ div tbody tr a`
	failed := b.text(failure)
	b.loading(func() { b.click(failure) })
	require.Contains(t, b.text("h1"), failed+" failed")
	require.Equal(t, 1, b.count("svg .root.fail"))
	require.Greater(t, b.count("svg a .n"), 3, "a chain")
	require.Greater(t, b.count("svg path.wire"), 1)
	require.Equal(t, b.count("svg a .box"), b.count("main tbody th a"), "the words say the same")
	var drawn struct{ Width, Height float64 }
	b.read(`document.querySelector("svg").getBoundingClientRect().toJSON()`, &drawn)
	require.Greater(t, min(drawn.Width, drawn.Height), 200.0)

	cause := strings.TrimSpace(b.text("main tbody tr a"))
	b.loading(func() { b.click("svg a:has(.n:not(.root))") })
	require.Contains(t, b.text("h1"), cause, "the first cause was clicked in the diagram")

	b.loading(func() { b.click("header a") })
	require.Equal(t, 1, b.count("#failures"))

	b.click("#q")
	b.write(`{ status = error } ->> { name =~ "spawn.*" }`)
	b.loading(func() { b.click("button") })
	require.Contains(t, b.text("#found ~ div tbody"), "spawn payment_worker", "the restarts that failures led to")
	require.Empty(t, b.refused)
	b.click("#q")
	b.write(" | oops")
	b.loading(b.enter)
	require.Contains(t, b.text(`main [role="alert"]`), "oops")
	require.Equal(t, 1, b.count("pre .here"))

	for _, address := range b.asked {
		require.True(t, strings.HasPrefix(address, front) || address == "about:blank", address)
	}
}
