package queryextension

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/tail"
)

// route is one call of the API.
type route struct {
	method string
	path   string // as http.ServeMux and OpenAPI write it
	// query are the query parameters it knows; others are refused by name, so
	// that a typo does not widen an answer in silence.
	query []string
	// control marks calls that change something: they need control: true.
	control bool
	// unbounded calls run without the query's deadline; they end when the
	// client leaves or the pipelines stop.
	unbounded bool
	// under are prefixes below which it is served too.
	under []string
	// fail writes a failure in the form of the tool whose call it is; nil
	// writes problem details. With it, parameters that are not known are
	// ignored.
	fail   func(http.ResponseWriter, *http.Request, *problem)
	handle func(*api, http.ResponseWriter, *http.Request) error
}

// routes are all calls there are. docs/openapi.yaml has the same ones.
var routes = slices.Concat(ownRoutes, toolRoutes)

var ownRoutes = []route{
	{method: "GET", path: "/", query: []string{"q", "cursor"}, handle: (*api).page},
	{method: "GET", path: "/chain", query: slices.Concat([]string{"event", "service", "node", "trace", "span"}, chainParameters), handle: (*api).chainPage},
	{method: "GET", path: "/api/v1/traces/{trace_id}", handle: (*api).trace},
	{method: "GET", path: "/api/v1/events/{event_id}", query: []string{"service", "node", "limit"}, handle: (*api).event},
	{method: "GET", path: "/api/v1/events/{event_id}/chain", query: slices.Concat([]string{"service", "node"}, chainParameters), handle: (*api).eventChain},
	{method: "GET", path: "/api/v1/traces/{trace_id}/spans/{span_id}/chain", query: chainParameters, handle: (*api).spanChain},
	{method: "GET", path: "/api/v1/graph", query: slices.Concat([]string{"event", "service", "node", "trace", "span", "q", "start", "end", "format"}, chainParameters), handle: (*api).graph},
	{method: "GET", path: "/api/v1/edges", query: []string{"start", "end", "types", "min_confidence"}, unbounded: true, handle: (*api).edges},
	{method: "GET", path: "/api/v1/tail", query: []string{"q"}, unbounded: true, handle: (*api).tailSpans},
	{method: "GET", path: "/api/v1/correlations/{correlation_id}", query: []string{"limit"}, handle: (*api).correlation},
	{method: "GET", path: "/api/v1/views", handle: (*api).listViews},
	{method: "GET", path: "/api/v1/views/{name}", query: []string{"service", "limit", "cursor"}, handle: (*api).view},
	{method: "GET", path: "/api/v1/processes", query: []string{"service", "node", "limit", "cursor"}, handle: (*api).processes},
	{method: "GET", path: "/api/v1/search", query: []string{"q", "start", "end", "types", "min_confidence", "limit", "spans_per_spanset", "cursor", "explain"}, handle: (*api).search},
	{method: "GET", path: "/api/v1/processes/{process}/timeline", query: []string{"service", "node", "start", "end", "types", "min_confidence", "limit", "cursor"}, handle: (*api).timeline},
	{method: "GET", path: "/api/v1/state/{entity}", query: []string{"at", "service", "node", "types", "min_confidence", "limit", "cursor"}, handle: (*api).state},
	{method: "GET", path: "/api/v1/status", handle: (*api).status},
	{method: "GET", path: "/api/v1/health", handle: (*api).health},
	{method: "GET", path: "/api/v1/dead-letters", query: []string{"limit", "cursor", "payload"}, handle: (*api).listDeadLetters},
	{method: "POST", path: "/api/v1/dead-letters/replay", control: true, unbounded: true, handle: (*api).replayDeadLetters},
	{method: "POST", path: "/api/v1/pipeline/pause", control: true, handle: (*api).pause},
	{method: "POST", path: "/api/v1/pipeline/resume", control: true, handle: (*api).resume},
	{method: "PUT", path: "/api/v1/pipeline/workers", control: true, handle: (*api).setWorkers},
	{method: "PUT", path: "/api/v1/pipeline/batch", control: true, handle: (*api).setBatch},
	{method: "PUT", path: "/api/v1/pipeline/strategy", control: true, handle: (*api).setStrategy},
	{method: "PUT", path: "/api/v1/pipeline/sampling", control: true, handle: (*api).setSampling},
}

// api answers requests. It is immutable after newAPI but for streams.
type api struct {
	cfg      *Config
	store    store.Store
	follower *follower
	registry *registry
	monitor  *pressure.Monitor
	version  string
	self     string // the collector's own service.name
	started  time.Time
	now      func() time.Time
	logger   *zap.Logger
	// record notes an answered request; route is a path of routes or "other".
	record  func(ctx context.Context, method, route string, status int, took time.Duration)
	streams *streams
	hot     *hot
	// searches has a place for each search that may run.
	searches *gate
	tail     *tail.Broker
	origin   *http.CrossOriginProtection
}

// handler serves all routes, and answers everything else with 404 and 405.
func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	byPath := map[string][]route{}
	for _, r := range routes {
		byPath[r.path] = append(byPath[r.path], r)
	}
	for path, of := range byPath {
		serves := a.byMethod(path, of)
		mux.Handle(pattern(path), serves)
		for _, prefix := range of[0].under {
			mux.Handle(prefix+pattern(path), serves)
		}
	}
	mux.Handle("/", a.byMethod("other", nil))
	return mux
}

// byMethod serves the routes of one path.
func (a *api) byMethod(path string, of []route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		begun := a.now()
		answer := &statusWriter{ResponseWriter: w}
		if err := a.serve(answer, req, of); err != nil {
			p := a.asProblem(err)
			if p.Status == http.StatusInternalServerError {
				a.logger.Error("a query failed", zap.String("route", path), zap.Error(err))
			}
			fail(answer, req, of, p)
		}
		a.record(req.Context(), methodName(req.Method), path, answer.status, a.now().Sub(begun))
	})
}

// fail writes a failure as the route's clients expect it.
func fail(w http.ResponseWriter, req *http.Request, of []route, p *problem) {
	if len(of) == 0 || of[0].fail == nil {
		writeProblem(w, p)
		return
	}
	of[0].fail(w, req, p)
}

func (a *api) serve(w http.ResponseWriter, req *http.Request, of []route) error {
	if len(of) == 0 {
		return newProblem(http.StatusNotFound, "", "there is no %s: the calls are listed in docs/openapi.yaml", req.URL.Path)
	}
	at := slices.IndexFunc(of, func(r route) bool {
		return r.method == req.Method || r.method == http.MethodGet && req.Method == http.MethodHead
	})
	if at < 0 {
		allowed := allowedMethods(of)
		w.Header().Set("Allow", allowed)
		return newProblem(http.StatusMethodNotAllowed, "", "%s is not allowed here: allowed are %s", req.Method, allowed)
	}
	r := of[at]
	if r.control {
		if err := a.mayControl(req); err != nil {
			return err
		}
	}
	if r.fail == nil {
		if err := checkQuery(req, r.query); err != nil {
			return err
		}
	}
	ctx, done := a.bound(w, req, r)
	defer done()
	return r.handle(a, w, req.WithContext(ctx))
}

// bound gives the request its deadline, or ties it to the pipelines' life.
func (a *api) bound(w http.ResponseWriter, req *http.Request, r route) (context.Context, func()) {
	if !r.unbounded {
		return context.WithTimeout(req.Context(), a.cfg.Query.Timeout)
	}
	// Not every writer has a deadline to lift; then there is none to mind.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	return a.streams.join(req.Context())
}

func (a *api) mayControl(req *http.Request) error {
	if !a.cfg.Control {
		return newProblem(http.StatusForbidden, "", "control is off: set control: true on the extension to allow %s", req.URL.Path)
	}
	if err := a.origin.Check(req); err != nil {
		return newProblem(http.StatusForbidden, "Origin",
			"a page of another origin may not control the collector: list it under http::cors::allowed_origins")
	}
	return nil
}

// checkQuery refuses what the call does not know, and what is given twice.
func checkQuery(req *http.Request, known []string) error {
	values, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return newProblem(http.StatusBadRequest, "", "the query string cannot be read: %s", err)
	}
	for name, given := range values {
		if !slices.Contains(known, name) {
			allowed := "none is allowed"
			if len(known) > 0 {
				allowed = "allowed are " + strings.Join(known, ", ")
			}
			return newProblem(http.StatusBadRequest, name, "unknown parameter %q: %s", name, allowed)
		}
		if len(given) > 1 {
			return newProblem(http.StatusBadRequest, name, "parameter %q is given %d times: once is allowed", name, len(given))
		}
	}
	return nil
}

func allowedMethods(of []route) string {
	var methods []string
	for _, r := range of {
		methods = append(methods, r.method)
		if r.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return strings.Join(methods, ", ")
}

// methodName keeps made-up methods out of the metrics, as the semantic
// conventions ask for.
func methodName(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return method
	}
	return "_OTHER"
}

// statusWriter remembers the answer's status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// streams ends the requests that have no deadline when the pipelines stop.
type streams struct {
	mu   sync.Mutex
	ctx  context.Context // of those that run now; nil: none may begin yet
	stop context.CancelFunc
}

// open lets requests begin.
func (s *streams) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		s.ctx, s.stop = context.WithCancel(context.Background())
	}
}

// close ends all that run, and those that begin before the next open.
func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
	}
	s.ctx, s.stop = nil, nil
}

// join returns a context that ends with ctx, with done, or with close.
func (s *streams) join(ctx context.Context) (joined context.Context, done func()) {
	joined, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		cancel()
		return joined, cancel
	}
	unhook := context.AfterFunc(s.ctx, cancel)
	return joined, func() {
		unhook()
		cancel()
	}
}
