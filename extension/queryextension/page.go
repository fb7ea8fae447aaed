package queryextension

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/bytesize"
)

//go:embed page*.html
var pageFiles embed.FS

var pageTemplates = template.Must(template.ParseFS(pageFiles, "page*.html"))

// pagePolicy lets a browser run nothing and load nothing, whatever the data
// says.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pageData is what page.html shows.
type pageData struct {
	Title                 string // of the window
	Version, Uptime, Base string
	Empty                 bool // nothing is stored
	Trouble               string
	Level, Reason         string // of pressure
	Figures               []pageFigure
	Components            []pageComponent

	// One of the two: what was asked for, or what there is.
	Query    string
	Examples []pageExample
	Found    *pageFound
	Failed   string // the query for all failures
	Failures pageList
	Latest   pageList
}

type pageFigure struct{ Name, Value string }

type pageComponent struct{ ID, Figures string }

type pageExample struct{ Query, Words string }

const failedQuery = `{ status = error }`

// pageExamples are queries that find something in most systems.
var pageExamples = []pageExample{
	{failedQuery, "what failed"},
	{`{ duration > 100ms }`, "what was slow"},
	{`{ status = error } ->> { kind != internal }`, "what failures led to"},
	{`{ status = error } <<- { kind = consumer }`, "the messages that led to failures"},
	{`{ status = error } | by(resource.service.name)`, "failures by service"},
}

// page shows in plain HTML what came in lately and what failed, or what a
// query finds, how the collector is, and how to use it.
func (a *api) page(w http.ResponseWriter, req *http.Request) error {
	current := a.currentStatus()
	data := pageData{
		Title:    "Scope",
		Version:  current.Version,
		Uptime:   a.now().Sub(a.started).Truncate(time.Second).String(),
		Base:     baseOf(req),
		Empty:    current.Store.Spans == 0,
		Trouble:  current.Store.Trouble,
		Level:    current.Pressure.Level.String(),
		Reason:   current.Pressure.Reason,
		Figures:  pageFigures(current.Store),
		Query:    req.URL.Query().Get("q"),
		Examples: pageExamples,
		Failed:   failedQuery,
	}
	var err error
	if data.Components, err = pageComponents(current.Components); err != nil {
		return err
	}
	code := http.StatusOK
	if strings.TrimSpace(data.Query) != "" {
		if data.Found, err = a.ask(req.Context(), data.Query, req.URL.Query().Get("cursor")); err != nil {
			return err
		}
		code, data.Title = data.Found.status, shown(data.Query).Short+" – Scope"
	} else {
		data.Failures = a.failures(req.Context())
		data.Latest = a.latest(req.Context())
	}
	return writePage(w, "page.html", code, data)
}

// baseOf is the address that the client used.
func baseOf(req *http.Request) string {
	if req.TLS != nil {
		return "https://" + req.Host
	}
	return "http://" + req.Host
}

func writePage(w http.ResponseWriter, name string, code int, data any) error {
	var body bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&body, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	writeBody(w, "text/html; charset=utf-8", code, body.Bytes())
	return nil
}

func pageComponents(figures map[string]json.RawMessage) ([]pageComponent, error) {
	var all []pageComponent
	for id, of := range figures {
		var indented bytes.Buffer
		if err := json.Indent(&indented, of, "", "  "); err != nil {
			return nil, err
		}
		all = append(all, pageComponent{id, indented.String()})
	}
	slices.SortFunc(all, func(a, b pageComponent) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

func pageFigures(s storeJSON) []pageFigure {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	size := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/float64(bytesize.MiB)) }
	oldest := "nothing is stored"
	if !s.Stats.Oldest.IsZero() {
		oldest = s.Stats.Oldest.UTC().Format(time.RFC3339)
	}
	return []pageFigure{
		{"Spans", number(s.Spans)},
		{"Open calls", number(s.OpenCalls)},
		{"Oldest data", oldest},
		{"Blocks", number(int64(s.Blocks))},
		{"Size of the blocks", size(s.BlockBytes)},
		{"Size of the write-ahead log", size(s.LogBytes)},
		{"Spans in memory", number(s.HeadSpans)},
		{"Size in memory", size(s.HeadBytes)},
	}
}
