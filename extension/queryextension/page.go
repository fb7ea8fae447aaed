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
	"time"

	"github.com/otelscope/otelscope/internal/bytesize"
)

//go:embed page.html
var pageFile embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFile, "page.html"))

// pageData is what page.html shows.
type pageData struct {
	Version, Uptime, Host string
	Trouble               string
	Level, Reason         string // of pressure
	Figures               []pageFigure
	Components            []pageComponent
}

type pageFigure struct{ Name, Value string }

type pageComponent struct{ ID, Figures string }

// page says in plain HTML that the collector runs and how to use it.
func (a *api) page(w http.ResponseWriter, req *http.Request) error {
	status := a.currentStatus()
	data := pageData{
		Version: status.Version,
		Uptime:  a.now().Sub(a.started).Truncate(time.Second).String(),
		Host:    req.Host,
		Trouble: status.Store.Trouble,
		Level:   status.Pressure.Level.String(),
		Reason:  status.Pressure.Reason,
		Figures: pageFigures(status.Store),
	}
	for id, figures := range status.Components {
		var indented bytes.Buffer
		if err := json.Indent(&indented, figures, "", "  "); err != nil {
			return err
		}
		data.Components = append(data.Components, pageComponent{id, indented.String()})
	}
	slices.SortFunc(data.Components, func(a, b pageComponent) int { return cmp.Compare(a.ID, b.ID) })

	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, data); err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, "text/html; charset=utf-8", http.StatusOK, body.Bytes())
	return nil
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
