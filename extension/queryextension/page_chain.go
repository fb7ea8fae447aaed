package queryextension

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/diagram"
	"github.com/otelscope/otelscope/internal/query"
)

// chainData is what page_chain.html shows.
type chainData struct {
	Title string // of the window
	Root  pageSpan
	Trace string // its id
	// Diagram is SVG that no text of a span can become part of as markup:
	// diagram sees to it.
	Diagram   template.HTML
	Steps     []chainStep
	Truncated bool
	Forms     []pageLink // the same in other forms
}

type pageLink struct{ Href, Words string }

// chainStep is a node of the chain.
type chainStep struct {
	pageSpan
	Number  int
	Asked   bool   // it is what was asked for
	Missing string // the span's id, where it is not stored
	Offset  string // when it began, from when what was asked for did
	Because []chainReason
}

// chainReason is an edge that leads to a step.
type chainReason struct {
	Step  int // the cause's number
	Words string
}

// chainPage shows what led to a span and what it led to: as a diagram, and in
// words.
func (a *api) chainPage(w http.ResponseWriter, req *http.Request) error {
	data, err := a.chainData(req)
	if err != nil {
		return a.writePageProblem(w, err)
	}
	return writePage(w, "page_chain.html", http.StatusOK, data)
}

func (a *api) chainData(req *http.Request) (chainData, error) {
	opts, err := a.chainOptions(req)
	if err != nil {
		return chainData{}, err
	}
	root, err := a.rootOfGraph(req)
	if err != nil {
		return chainData{}, err
	}
	g, err := a.follow(req, root, opts)
	if err != nil {
		return chainData{}, err
	}
	data, err := newChainData(root, g, a.now())
	data.Forms = chainForms(req, root)
	return data, err
}

func (a *api) writePageProblem(w http.ResponseWriter, err error) error {
	p := a.asProblem(err)
	if p.Status == http.StatusInternalServerError {
		return err // it is logged
	}
	return writePage(w, "page_problem.html", p.Status, p)
}

// chainForms lists where the same is found in other forms.
func chainForms(req *http.Request, root causal.SpanRef) []pageLink {
	graph := func(format string) string {
		asked := req.URL.Query()
		asked.Set("format", format)
		return "/api/v1/graph?" + asked.Encode()
	}
	narrow := func(direction string) string {
		asked := req.URL.Query()
		asked.Set("direction", direction)
		return "/chain?" + asked.Encode()
	}
	return []pageLink{
		{narrow("causes"), "only what led to it"},
		{narrow("effects"), "only what it led to"},
		{graph("svg"), "SVG"},
		{graph("json"), "JSON"},
		{graph("dot"), "Graphviz"},
		{graph("mermaid"), "Mermaid"},
		{"/api/v1/traces/" + url.PathEscape(root.TraceID.String()), "its trace as OTLP JSON"},
	}
}

func newChainData(root causal.SpanRef, g query.Graph, now time.Time) (chainData, error) {
	drawing, err := newDiagram(g, map[causal.SpanRef]bool{root: true})
	if err != nil {
		return chainData{}, err
	}
	for i := range drawing.Nodes { // a click leads to a page like this
		drawing.Nodes[i].Href = strings.TrimSuffix(drawing.Nodes[i].Href, "&format=svg")
	}
	var svg bytes.Buffer
	if err := diagram.SVG(&svg, drawing); err != nil {
		return chainData{}, err
	}
	data := chainData{Trace: root.TraceID.String(), Diagram: template.HTML(svg.String()), Truncated: g.Truncated}
	if data.Steps, err = newChainSteps(root, g, now); err != nil {
		return chainData{}, err
	}
	for i := range data.Steps {
		if data.Steps[i].Asked {
			data.Root = data.Steps[i].pageSpan
		}
	}
	data.Title = "Causal chain of " + data.Root.Name.Short + " – Scope"
	return data, nil
}

func newChainSteps(root causal.SpanRef, g query.Graph, now time.Time) ([]chainStep, error) {
	number := make(map[causal.SpanRef]int, len(g.Nodes))
	zero := clamp(nodeOf(g, root).Start)
	var steps []chainStep
	for i := range g.Nodes {
		n := &g.Nodes[i]
		number[n.Ref] = i + 1
		step := chainStep{Number: i + 1, Asked: n.Ref == root}
		if n.Missing() {
			step.Missing = n.Ref.SpanID.String()
		} else {
			spans, err := newSpansJSON(n.Spans[:1])
			if err != nil {
				return nil, err
			}
			step.pageSpan = newPageSpan(&spans[0], now)
			step.Offset = offset(time.Duration(clamp(n.Start) - zero))
		}
		steps = append(steps, step)
	}
	for _, e := range g.Edges {
		to := &steps[number[e.Effect]-1]
		to.Because = append(to.Because, chainReason{number[e.Cause], reason(e)})
	}
	return steps, nil
}

// offset writes how much later something is.
func offset(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < 0:
		return "−" + brief(-d)
	}
	return "+" + brief(d)
}

// reason says in words why an edge's effect came to be.
func reason(e causal.Edge) string {
	words := strings.ReplaceAll(string(e.Type), "_", " ")
	if e.Confidence < 1 {
		words += fmt.Sprintf(", %d %% sure", int(100*e.Confidence))
	}
	return words
}
