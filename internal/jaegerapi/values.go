package jaegerapi

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/otelscope/otelscope/internal/query"
)

// either returns a parameter of the API v3 and the name it was given by: in
// camel case, or as it was called before, in snake case.
func either(values url.Values, name string) (used, value string) {
	if value := values.Get(name); value != "" {
		return name, value
	}
	var snake strings.Builder
	for _, c := range name {
		if unicode.IsUpper(c) {
			snake.WriteByte('_')
		}
		snake.WriteRune(unicode.ToLower(c))
	}
	if value := values.Get(snake.String()); value != "" {
		return snake.String(), value
	}
	return name, ""
}

func limit(values url.Values, name string) (int, error) {
	text := values.Get(name)
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, &ParameterError{name, fmt.Sprintf("%q is not allowed: must be a number from 1 to %d", text, maxLimit)}
	}
	return n, nil
}

// duration reads such as 1.2s, 100ms, 500us; 0 where none is given.
func duration(values url.Values, name string) (time.Duration, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, &ParameterError{name, fmt.Sprintf("%q is not allowed: must be a duration such as 1.2s, 100ms or 500us", text)}
	}
	return d, nil
}

// microseconds returns nanoseconds since the epoch, 0 where no time is given.
func microseconds(values url.Values, name string) (uint64, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxInt64/1000 {
		return 0, &ParameterError{name, fmt.Sprintf("%q is not allowed: must be microseconds since the epoch", text)}
	}
	return n * 1000, nil
}

// timestamp reads RFC 3339, 0 where no time is given. Grafana sends the plus of
// a zone unescaped, which arrives as a space.
func timestamp(values url.Values, name string) (uint64, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(text, " ", "+", 1))
	if err != nil || t.Before(time.Unix(0, 0)) || t.After(time.Unix(0, math.MaxInt64)) {
		return 0, &ParameterError{name, fmt.Sprintf("%q is not allowed: must be a time such as 2026-03-01T12:00:00Z (RFC 3339)", text)}
	}
	return uint64(t.UnixNano()), nil
}

func checkRange(r query.Range, start, end string) error {
	if r.End != 0 && r.End <= r.Start {
		return &ParameterError{end, fmt.Sprintf("must be later than %s", start)}
	}
	return nil
}
