package queryextension

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/pressure"
)

// controls are the control calls of the pipeline, with bodies that are good.
var controls = []struct{ method, path, body string }{
	{"POST", "/api/v1/pipeline/pause", ""},
	{"POST", "/api/v1/pipeline/resume", "{}"},
	{"PUT", "/api/v1/pipeline/workers", `{"min":2,"max":8}`},
	{"PUT", "/api/v1/pipeline/batch", `{"min_size":100,"max_size":5000}`},
	{"PUT", "/api/v1/pipeline/strategy", `{"strategy":"refuse"}`},
	{"PUT", "/api/v1/pipeline/sampling", `{"ratio":0.1}`},
}

func (a answer) json(t *testing.T, want string) {
	require.Equal(t, http.StatusOK, a.status, string(a.body))
	require.JSONEq(t, want, string(a.body))
}

// Every instance is reached, of every id; one that has left is not.
func TestControlOfReceivers(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	first, second, other, gone := &intake{}, &intake{}, &intake{}, &intake{}
	c.extension.RegisterIntake(scopeID, first)
	c.extension.RegisterIntake(scopeID, second)
	c.extension.RegisterIntake(secondID, other)
	c.extension.RegisterIntake(secondID, gone)()

	c.do(t, "POST", "/api/v1/pipeline/pause", "", nil).json(t, `{"paused":true}`)
	c.post(t, "/api/v1/pipeline/resume", "{}").json(t, `{"paused":false}`)
	c.put(t, "/api/v1/pipeline/workers", `{"min":2,"max":8}`).json(t, `{"min":2,"max":8}`)
	c.put(t, "/api/v1/pipeline/batch", `{"max_size":5000, "min_size":100}`).json(t, `{"min_size":100,"max_size":5000}`)
	for _, levers := range []*intake{first, second, other} {
		require.Equal(t, []string{"pause", "resume", "workers 2 8", "batch 100 5000"}, levers.noted())
	}
	require.Empty(t, gone.noted())
}

func TestControlOfSampling(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	first, second := &sampling{}, &sampling{}
	c.extension.RegisterSampling(pressureID, first)
	c.extension.RegisterSampling(pressureID, second)
	c.put(t, "/api/v1/pipeline/sampling", `{"ratio":0.1}`).json(t, `{"ratio":0.1}`)
	c.put(t, "/api/v1/pipeline/sampling", `{"ratio":1}`).json(t, `{"ratio":1}`)
	c.put(t, "/api/v1/pipeline/sampling", `{"ratio":null}`).json(t, `{"ratio":null}`)
	require.Equal(t, []float64{0.1, 1, 0}, first.noted())
	require.Equal(t, []float64{0.1, 1, 0}, second.noted())
}

func TestControlOfStrategy(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	c.extension.RegisterSampling(pressureID, &sampling{})
	for _, strategy := range pressure.Strategies {
		c.put(t, "/api/v1/pipeline/strategy", `{"strategy":"`+string(strategy)+`"}`).json(t, `{"strategy":"`+string(strategy)+`"}`)
		require.Equal(t, strategy, c.extension.monitor.State().Strategy, "at once")
	}
}

func TestNothingToControl(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	for i, call := range controls {
		want := "there is nothing to control: no scope receiver has this extension as its hub"
		if i >= 4 {
			want = "there is nothing to control: no pressure processor has this extension as its hub"
		}
		got := c.do(t, call.method, call.path, call.body, jsonBody)
		require.Equal(t, want, got.problem(t, http.StatusConflict).Detail, call.path)
	}
	require.Equal(t, pressure.Off, c.extension.monitor.State().Strategy)
}

func TestLeverThatRefuses(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	first, last := &intake{}, &intake{}
	c.extension.RegisterIntake(scopeID, first)
	c.extension.RegisterIntake(secondID, &intake{refuse: errors.New("max: 8 is not allowed: must be 1 to 4")})
	c.extension.RegisterIntake(secondID, last)
	want := "scope/second: max: 8 is not allowed: must be 1 to 4"
	require.Equal(t, want, c.put(t, "/api/v1/pipeline/workers", `{"min":2,"max":8}`).problem(t, http.StatusBadRequest).Detail)
	require.Equal(t, want, c.put(t, "/api/v1/pipeline/batch", `{"min_size":2,"max_size":8}`).problem(t, http.StatusBadRequest).Detail)
	require.Equal(t, []string{"workers 2 8", "batch 2 8"}, first.noted())
	require.Empty(t, last.noted())

	c.extension.RegisterSampling(pressureID, &sampling{refuse: errors.New("ratio: 0.1 is not allowed: min_ratio is 0.2")})
	require.Equal(t, "pressure: ratio: 0.1 is not allowed: min_ratio is 0.2",
		c.put(t, "/api/v1/pipeline/sampling", `{"ratio":0.1}`).problem(t, http.StatusBadRequest).Detail)
}

func TestBadBodiesOfControls(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	receiver, processor := &intake{}, &sampling{}
	c.extension.RegisterIntake(scopeID, receiver)
	c.extension.RegisterSampling(pressureID, processor)
	const ratio = "must be a number above 0 and up to 1, or null to follow the load"
	const strategy = "must be one of adaptive_sampling, priority_based, drop_oldest, refuse, off"
	for _, test := range []struct{ path, body, parameter, detail string }{
		{"workers", ``, "min", "min is required: must be a whole number"},
		{"workers", `{"min":2}`, "max", "max is required: must be a whole number"},
		{"workers", `{"min":"2","max":8}`, "min", `min: "2" is not allowed: must be a whole number`},
		{"workers", `{"min":2,"max":8.5}`, "max", `max: 8.5 is not allowed: must be a whole number`},
		{"workers", `{"min":2,"max":null}`, "max", `max: null is not allowed: must be a whole number`},
		{"workers", `{"min":2,"max":99999999999999999999}`, "max", `max: 99999999999999999999 is not allowed: must be a whole number`},
		{"workers", `{"min":2,"max":8,"receiver":"scope"}`, "", `the body is not what this call takes: json: unknown field "receiver"`},
		{"workers", `{"min":2,"max":8}}`, "", "the body must be one JSON object"},
		{"workers", `{"min":2,"max":8`, "", "the body is not what this call takes: unexpected EOF"},
		{"workers", `[2,8]`, "", "the body is not what this call takes: json: cannot unmarshal array"},
		{"batch", `{}`, "min_size", "min_size is required: must be a whole number"},
		{"batch", `{"min_size":1,"max_size":true}`, "max_size", "max_size: true is not allowed: must be a whole number"},
		{"batch", `{"min":1,"max":2}`, "", `unknown field "min"`},
		{"strategy", `{}`, "strategy", "strategy is required: " + strategy},
		{"strategy", `{"strategy":"hope"}`, "strategy", `strategy: "hope" is not allowed: ` + strategy},
		{"strategy", `{"strategy":7}`, "strategy", `strategy: 7 is not allowed: ` + strategy},
		{"strategy", `{"strategy":null}`, "strategy", `strategy: null is not allowed: ` + strategy},
		{"strategy", `{"by_level":{}}`, "", `unknown field "by_level"`},
		{"sampling", `{}`, "ratio", "ratio is required: " + ratio},
		{"sampling", `{"ratio":0}`, "ratio", `ratio: 0 is not allowed: ` + ratio},
		{"sampling", `{"ratio":1.01}`, "ratio", `ratio: 1.01 is not allowed: ` + ratio},
		{"sampling", `{"ratio":-1}`, "ratio", `ratio: -1 is not allowed: ` + ratio},
		{"sampling", `{"ratio":"all"}`, "ratio", `ratio: "all" is not allowed: ` + ratio},
	} {
		p := c.put(t, "/api/v1/pipeline/"+test.path, test.body).problem(t, http.StatusBadRequest)
		require.Equal(t, test.parameter, p.Parameter, test.body)
		require.Contains(t, p.Detail, test.detail, test.body)
	}
	p := c.post(t, "/api/v1/pipeline/pause", `{"receiver":"scope"}`).problem(t, http.StatusBadRequest)
	require.Contains(t, p.Detail, `unknown field "receiver"`, "it would have paused all of them")
	for _, call := range controls {
		got := c.do(t, call.method, call.path, "{}", http.Header{"Content-Type": {"text/json"}})
		require.Equal(t, `"text/json" is not allowed: must be application/json`, got.problem(t, http.StatusUnsupportedMediaType).Detail)
	}
	require.Empty(t, receiver.noted())
	require.Empty(t, processor.noted())
	require.Equal(t, pressure.Off, c.extension.monitor.State().Strategy)
}

func TestControlsNeedLeave(t *testing.T) {
	off := serving(t, newFaulty())
	open := serving(t, newFaulty(), controlled, func(cfg *Config) {
		cfg.HTTP.CORS = configoptional.Some(confighttp.CORSConfig{AllowedOrigins: []string{"https://ops.example.com"}})
	})
	for _, c := range []*client{off, open} {
		c.extension.RegisterIntake(scopeID, &intake{})
		c.extension.RegisterSampling(pressureID, &sampling{})
	}
	for _, call := range controls {
		p := off.do(t, call.method, call.path, call.body, jsonBody).problem(t, http.StatusForbidden)
		require.Equal(t, "control is off: set control: true on the extension to allow "+call.path, p.Detail)
		for origin, status := range map[string]int{
			open.url:                  http.StatusOK,
			"https://ops.example.com": http.StatusOK,
			"https://evil.example":    http.StatusForbidden,
		} {
			header := jsonBody.Clone()
			header.Set("Origin", origin)
			got := open.do(t, call.method, call.path, call.body, header)
			require.Equal(t, status, got.status, "%s from %s: %s", call.path, origin, got.body)
		}
		wrong := open.get(t, call.path)
		wrong.problem(t, http.StatusMethodNotAllowed)
		require.Equal(t, call.method, wrong.header.Get("Allow"))
	}
}

// Who wonders why nothing comes through finds it in the log.
func TestControlIsLogged(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	set := extensiontest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	c := servingWith(t, newFaulty(), set, controlled)
	c.extension.RegisterIntake(scopeID, &intake{})
	c.do(t, "POST", "/api/v1/pipeline/pause", "", nil).json(t, `{"paused":true}`)
	lines := logs.FilterMessage("The pipeline was changed through the API").All()
	require.Len(t, lines, 1)
	require.Equal(t, map[string]any{"call": "POST /api/v1/pipeline/pause", "in_force": pausedJSON{true}}, lines[0].ContextMap())
}
