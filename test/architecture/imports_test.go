// Package architecture holds the house rules that a compiler does not: which
// package may import which.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/otelscope/otelscope/"

const (
	pdata     = "go.opentelemetry.io/collector/pdata/"
	collector = "go.opentelemetry.io/"
	parquet   = "github.com/parquet-go/"
	protowire = "google.golang.org/protobuf/encoding/protowire"
)

// rule says what a package may import beside the standard library: packages
// of ours by their path in the module, others by prefix.
type rule struct {
	ours   []string
	others []string
}

// rules has a line for every package under internal/ that is not generated.
var rules = map[string]rule{
	"internal/bytesize":          {},
	"internal/causal":            {others: []string{pdata}},
	"internal/event":             {others: []string{"github.com/go-faster/", "github.com/google/uuid", protowire}},
	"internal/ring":              {},
	"internal/vfs":               {others: []string{"golang.org/x/sys/"}},
	"internal/vfs/memfs":         {ours: []string{"internal/vfs"}, others: []string{"golang.org/x/sys/"}},
	"internal/otlpwire":          {others: []string{protowire}},
	"internal/deadletter":        {ours: []string{"internal/vfs"}},
	"internal/diagram":           {ours: []string{"internal/causal"}},
	"internal/correlate":         {ours: []string{"internal/causal"}, others: []string{pdata, "github.com/zeebo/xxh3"}},
	"internal/correlate/rule":    {ours: []string{"internal/correlate", "internal/causal"}, others: []string{pdata, "github.com/zeebo/xxh3", "go.yaml.in/yaml/"}},
	"internal/assemble":          {ours: []string{"internal/event", "internal/causal"}, others: []string{pdata, "github.com/zeebo/xxh3"}},
	"internal/store":             {ours: []string{"internal/causal", "internal/otlpwire", "internal/vfs", "internal/store/log", "internal/store/head", "internal/store/block", "internal/store/field", "internal/store/manifest"}, others: []string{pdata, protowire, "github.com/zeebo/xxh3"}},
	"internal/store/log":         {ours: []string{"internal/vfs"}},
	"internal/store/manifest":    {ours: []string{"internal/vfs"}},
	"internal/store/field":       {ours: []string{"internal/otlpwire"}, others: []string{"github.com/zeebo/xxh3", protowire}},
	"internal/store/head":        {ours: []string{"internal/causal", "internal/otlpwire", "internal/store/field"}, others: []string{"github.com/zeebo/xxh3", protowire}},
	"internal/store/block":       {ours: []string{"internal/causal", "internal/otlpwire", "internal/vfs", "internal/store/block/table", "internal/store/field"}, others: []string{pdata, parquet, "github.com/zeebo/xxh3", "github.com/elastic/go-freelru", "github.com/klauspost/compress/", protowire}},
	"internal/store/block/table": {others: []string{parquet, "github.com/klauspost/compress/"}},
	"internal/traceql":           {},
	"internal/query":             {ours: []string{"internal/causal", "internal/otlpwire", "internal/store", "internal/traceql"}, others: []string{pdata}},
	"internal/views":             {ours: []string{"internal/causal"}, others: []string{"github.com/klauspost/compress/"}},
	"internal/cache":             {ours: []string{"internal/causal"}, others: []string{pdata, "github.com/elastic/go-freelru"}},
	"internal/crosslink":         {ours: []string{"internal/causal", "internal/query", "internal/store"}, others: []string{pdata}},
	"internal/jaegerapi":         {ours: []string{"internal/causal", "internal/query", "internal/traceql"}, others: []string{pdata}},
	"internal/tempoapi":          {ours: []string{"internal/causal", "internal/otlpwire", "internal/query", "internal/store", "internal/traceql"}, others: []string{pdata, protowire}},
	"internal/tail":              {ours: []string{"internal/query", "internal/store", "internal/traceql"}},
	"internal/pressure":          {others: []string{"github.com/KimMachineGun/automemlimit/"}},
	"internal/sample":            {ours: []string{"internal/otlpwire"}, others: []string{"github.com/elastic/go-freelru", "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"}},
	"internal/condition":         {others: []string{pdata, "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl", "go.opentelemetry.io/collector/component", "go.uber.org/zap"}},
	"internal/permanent":         {others: []string{"go.opentelemetry.io/collector/consumer/consumererror"}},
	"internal/hub":               {ours: []string{"internal/store", "internal/pressure"}, others: []string{"go.opentelemetry.io/collector/component"}},
	"internal/workload":          {ours: []string{"internal/event", "internal/causal"}, others: []string{pdata}},
	"internal/loadgen":           {ours: []string{"internal/event", "internal/causal", "internal/workload"}, others: []string{pdata, "google.golang.org/grpc", "google.golang.org/genproto/", "google.golang.org/protobuf/"}},
}

// testSupport are packages that only tests import; they may import the
// package they test and test libraries.
var testSupport = []string{"internal/store/storetest", "internal/traceql/traceqltest", "internal/vfs/memfs", "internal/hub/hubtest"}

// components may import what is under internal/ and the Collector, never each
// other.
var components = []string{
	"receiver/scopereceiver", "processor/correlateprocessor", "processor/pressureprocessor",
	"exporter/scopestoreexporter", "extension/queryextension",
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	require.NoError(t, err)
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func allowed(r rule, path string) bool {
	if standard(path) {
		return true
	}
	if ours, ok := strings.CutPrefix(path, module); ok {
		return slices.Contains(r.ours, ours)
	}
	return slices.ContainsFunc(r.others, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// violations lists what breaks the rules, as "package imports other".
func violations(all []listed) []string {
	var found []string
	for _, p := range all {
		name := strings.TrimPrefix(p.ImportPath, module)
		component := slices.IndexFunc(components, func(c string) bool { return name == c || strings.HasPrefix(name, c+"/") })
		for _, path := range p.Imports {
			bad := false
			switch {
			case component >= 0:
				other := slices.IndexFunc(components, func(c string) bool { return strings.HasPrefix(path, module+c) })
				bad = other >= 0 && other != component
			case slices.Contains(testSupport, name):
				bad = strings.HasPrefix(path, parquet)
			case strings.HasPrefix(name, "internal/"):
				r, known := rules[name]
				bad = !known || !allowed(r, path)
			default:
				bad = strings.HasPrefix(path, parquet)
			}
			if !bad && slices.Contains(testSupport, strings.TrimPrefix(path, module)) {
				bad = !slices.Contains(testSupport, name)
			}
			if bad {
				found = append(found, name+" imports "+path)
			}
		}
	}
	return found
}

func TestImportRules(t *testing.T) {
	all := packages(t)
	require.NotEmpty(t, all)
	require.Empty(t, violations(all), "see the table of packages in ARCHITECTURE.md")

	seen := map[string]bool{}
	for _, p := range all {
		seen[strings.TrimPrefix(p.ImportPath, module)] = true
	}
	for name := range rules {
		require.True(t, seen[name], "a rule for %s, which does not exist", name)
	}
	for _, name := range components {
		require.True(t, seen[name], "component %s does not exist", name)
	}
}

func TestImportRulesFindViolations(t *testing.T) {
	cases := map[string]listed{
		"a core that logs":                   {ImportPath: module + "internal/ring", Imports: []string{"go.uber.org/zap"}},
		"a component that imports another":   {ImportPath: module + "exporter/scopestoreexporter", Imports: []string{module + "receiver/scopereceiver"}},
		"internal that imports a component":  {ImportPath: module + "internal/hub", Imports: []string{module + "extension/queryextension"}},
		"Parquet outside of blocks":          {ImportPath: module + "internal/store/head", Imports: []string{parquet + "parquet-go"}},
		"a package without a rule":           {ImportPath: module + "internal/misc", Imports: []string{"fmt"}},
		"test support in production code":    {ImportPath: module + "extension/queryextension", Imports: []string{module + "internal/store/storetest"}},
		"the store that knows the Collector": {ImportPath: module + "internal/store", Imports: []string{collector + "collector/component"}},
	}
	for name, p := range cases {
		t.Run(name, func(t *testing.T) { require.Len(t, violations([]listed{p}), 1) })
	}
	fine := listed{ImportPath: module + "internal/causal", Imports: []string{"fmt", pdata + "pcommon"}}
	require.Empty(t, violations([]listed{fine}))
}
