// Package diagram draws a causal graph: as a space-time diagram (SVG), for
// Graphviz (DOT) and for Mermaid. It is pure: the same graph gives the same
// bytes, and no text of a graph can become markup.
//
// # The space-time diagram
//
// Each process has a lane and each node a row of its own, from the top down in
// an order in which every cause is above its effects; where causality leaves
// the order open, time decides. Times are those of each lane's own clock, so
// rows have equal distance and the axis tells each row's time; long waits are
// marked as breaks. An edge leaves its cause sideways, runs down between the
// lanes and enters its effect in the effect's row, where no other node is.
package diagram

import "github.com/otelscope/otelscope/internal/causal"

// Graph is what is drawn. No function of this package changes it.
type Graph struct {
	Title     string
	Nodes     []Node
	Edges     []Edge
	Truncated bool // more was found than the graph holds
}

// Node is a span, or the place of one that is missing.
type Node struct {
	ID         string // unique
	Service    string
	Instance   string
	Process    string // "" for spans of no process: their lane is the instance
	Name       string
	Kind       string // producer, consumer, internal, server, client
	Start, End int64  // ns since the epoch; 0 is unknown
	Failed     bool
	Open       bool   // a call without its return
	Missing    bool   // named by an edge, not found
	Root       bool   // what the graph was asked for
	Detail     string // tooltip; may have several lines
	Href       string // optional link: http, https or a relative path
}

// Edge is a causal relation; From is the cause. An edge that names no node, or
// leads to where it came from, is not drawn.
type Edge struct {
	From, To   int // indexes of Nodes
	Type       causal.Type
	Confidence float64 // 0 < Confidence <= 1
	Rule       string
}

// drawn are the kinds of edges there are to draw, in the order of legends.
var drawn = append(append([]causal.Type{}, causal.Types...), causal.Other)

// kind returns the type an edge is drawn as.
func (e Edge) kind() causal.Type {
	if e.Type.Known() {
		return e.Type
	}
	return causal.Other
}

// uncertain reports whether e rests on less than an exact identity.
func (e Edge) uncertain() bool { return !(e.Confidence >= 1) }

// valid reports whether e joins two different nodes of g.
func (g Graph) valid(e Edge) bool {
	return e.From >= 0 && e.From < len(g.Nodes) && e.To >= 0 && e.To < len(g.Nodes) && e.From != e.To
}

// start returns when n began, 0 when that is not known.
func (n Node) start() int64 { return max(n.Start, 0) }

// duration returns how long n took; false for moments and for what is not
// known to have ended.
func (n Node) duration() (int64, bool) {
	if n.Open || n.Missing || n.start() == 0 || n.End <= n.Start {
		return 0, false
	}
	return n.End - n.Start, true
}

// lane names whose clock and order a node belongs to.
type lane struct{ service, instance, process string }

func (n Node) lane() lane { return lane{n.Service, n.Instance, n.Process} }

// label returns the lane's name, without its service.
func (l lane) label() string {
	switch {
	case l.process != "" && l.instance != "":
		return l.process + " @ " + l.instance
	case l.process != "":
		return l.process
	case l.instance != "":
		return l.instance
	case l.service != "":
		return "all instances"
	}
	return "unknown"
}

// serviceLabel returns the name of the lane's service.
func (l lane) serviceLabel() string {
	if l.service == "" {
		return "unknown service"
	}
	return l.service
}
