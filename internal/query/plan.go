package query

import "github.com/otelscope/otelscope/internal/store"

// Plan says how a query was answered.
type Plan struct {
	Steps   []*Step       `json:"steps"`
	Reading store.Reading `json:"reading"`
	Traces  int           `json:"traces"`  // that were read whole
	Visited int           `json:"visited"` // spans that causal operators went over
}

// Step is a part of a plan, in words and figures.
type Step struct {
	Operator string `json:"operator"` // select, trace, causes, effects, filter, ...
	Detail   string `json:"detail"`
	Estimate int64  `json:"estimate"` // spans to look at, as was thought before
	Spans    int64  `json:"spans"`    // that came out of it
}

func (s *searcher) step(operator, detail string, estimate int64) *Step {
	step := &Step{Operator: operator, Detail: detail, Estimate: estimate}
	s.plan.Steps = append(s.plan.Steps, step)
	return step
}
