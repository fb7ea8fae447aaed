// Package distribution checks that the committed distribution is what
// builder-config.yaml says.
package distribution

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// TestGeneratedMainIsCurrent runs the generator into a temporary folder and
// compares what it writes with what is committed.
func TestGeneratedMainIsCurrent(t *testing.T) {
	config, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	moved := regexp.MustCompile(`output_path: .*`).ReplaceAllString(string(config), "output_path: "+out)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(moved), 0o600))

	cmd := exec.Command("go", "tool", "-C", filepath.Join(root, "internal", "tools"), "builder",
		"--config", filepath.Join(dir, "config.yaml"), "--skip-get-modules", "--skip-compilation")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))

	generated, err := filepath.Glob(filepath.Join(out, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, generated)
	for _, path := range generated {
		fmted, err := exec.Command("gofmt", path).Output()
		require.NoError(t, err)
		committed, err := os.ReadFile(filepath.Join(root, "cmd", "otelcol-scope", filepath.Base(path)))
		require.NoError(t, err)
		require.Equal(t, string(fmted), string(committed), "%s is stale: run make generate", filepath.Base(path))
	}
}

// TestModuleVersionsAreCurrent compares the versions that builder-config.yaml
// names with those that the distribution is built with.
func TestModuleVersionsAreCurrent(t *testing.T) {
	config, err := os.ReadFile(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	gomod, err := os.ReadFile(filepath.Join(root, "cmd", "otelcol-scope", "go.mod"))
	require.NoError(t, err)

	wanted := regexp.MustCompile(`(?m)gomod: (\S+) (\S+)$`).FindAllStringSubmatch(string(config), -1)
	require.NotEmpty(t, wanted)
	for _, w := range wanted {
		require.Contains(t, string(gomod), "\t"+w[1]+" "+w[2]+"\n", "run make generate")
	}
	require.True(t, strings.Contains(string(gomod), "replace github.com/otelscope/otelscope => ../.."))
}
