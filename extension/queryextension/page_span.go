package queryextension

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
)

// pageSpan is a span as a line of a table.
type pageSpan struct {
	Ago, Time string // when it began
	Service   pageText
	Node      pageText
	Process   pageText
	Name      pageText
	Kind      string
	Took      string // "" for what took no time
	State     string // failed, open or ""
	Message   pageText
	Selected  []pageText // fields and their values, of select()
	Chain     string     // where its chain is shown; "" for spans that nothing can name
}

// pageText is a text, and all of it where it is too long to show.
type pageText struct{ Short, Full string }

// How much of a text is shown, and how much a pointer that rests on it shows,
// in characters.
const (
	maxShort = 60
	maxFull  = 1000
)

func newPageSpan(s *spanJSON, now time.Time) pageSpan {
	start, end := timestamp(s.Start), timestamp(s.End)
	answer := pageSpan{
		Service: shown(s.Service),
		Node:    shown(s.Node),
		Process: shown(s.Process),
		Name:    shown(s.Name),
		Kind:    s.Kind,
		Message: shown(s.StatusMessage),
	}
	if start > 0 {
		began := time.Unix(0, start)
		answer.Ago, answer.Time = ago(now.Sub(began)), began.UTC().Format("2006-01-02 15:04:05.000 UTC")
	}
	if s.EventKind != "" {
		answer.Kind = shown(s.EventKind).Short
	}
	switch {
	case s.Status == "error":
		answer.State = "failed"
	case s.State == causal.CallOpen:
		answer.State = "open"
	}
	if end > start && s.State != causal.CallOpen {
		answer.Took = brief(time.Duration(end - start))
	}
	if ref, err := parseRef("", s.TraceID, "", s.SpanID); err == nil {
		answer.Chain = chainPath(ref)
	}
	return answer
}

func chainPath(ref causal.SpanRef) string {
	return "/chain?" + url.Values{"trace": {ref.TraceID.String()}, "span": {ref.SpanID.String()}}.Encode()
}

// timestamp reads what nanoseconds wrote.
func timestamp(text string) int64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return int64(min(n, math.MaxInt64))
}

// shown makes a text of a line fit to be shown: clients send what they like.
func shown(text string) pageText {
	text = strings.ToValidUTF8(text, "\uFFFD")
	short, cut := first(text, maxShort)
	if !cut {
		return pageText{Short: text}
	}
	full, cut := first(text, maxFull)
	if cut {
		full += "…"
	}
	return pageText{Short: short + "…", Full: full}
}

// first returns at most n characters of text; cut says that there are more.
func first(text string, n int) (_ string, cut bool) {
	for at := range text {
		if n == 0 {
			return text[:at], true
		}
		n--
	}
	return text, false
}

// ago says how long something is past, in one unit.
func ago(past time.Duration) string {
	words := func(d time.Duration) string {
		switch {
		case d < time.Minute:
			return fmt.Sprintf("%d s", d/time.Second)
		case d < time.Hour:
			return fmt.Sprintf("%d min", d/time.Minute)
		case d < 48*time.Hour:
			return fmt.Sprintf("%d h", d/time.Hour)
		}
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	switch {
	case past <= -time.Second:
		return "in " + words(-past)
	case past < time.Second:
		return "now"
	}
	return words(past) + " ago"
}

// brief writes a duration with three digits.
func brief(d time.Duration) string {
	unit := time.Duration(1)
	for d/1000 >= unit {
		unit *= 10
	}
	return d.Round(unit).String()
}
