package tempoapi

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

const scopeIntrinsic = "intrinsic"

// scopesOf are the scopes in which a store knows names.
var scopesOf = map[store.FieldOf]string{
	store.OfSpan: "span", store.OfResource: "resource", store.OfEvent: "event",
}

// ParseScope reads the parameter scope; "" and none mean all of them.
func ParseScope(text string) (string, error) {
	switch text {
	case "", "none":
		return "", nil
	case "span", "resource", "event", "link", "instrumentation", scopeIntrinsic:
		return text, nil
	}
	return "", &ParameterError{"scope", strconv.Quote(text) + " is not allowed: must be span, resource, event, link, instrumentation or intrinsic"}
}

// Scopes lists the names of fields by their scope, at most limit in each, and
// the language's own; only those of a scope if it is not "".
func Scopes(fields []store.Field, scope string, limit int) []Scope {
	names := map[string][]string{
		scopeIntrinsic: traceql.IntrinsicNames(),
		// What Scope's own links say; those of others are not indexed.
		"link": {causal.AttrLinkConfidence, causal.AttrLinkRole, causal.AttrLinkRule, causal.AttrLinkType},
	}
	for _, f := range fields {
		if name, ok := scopesOf[f.Of]; ok {
			names[name] = append(names[name], f.Key)
		}
	}
	scopes := []Scope{}
	for _, name := range []string{"resource", "span", "event", "link", scopeIntrinsic} {
		tags := names[name]
		if len(tags) == 0 || scope != "" && scope != name {
			continue
		}
		slices.Sort(tags)
		scopes = append(scopes, Scope{name, tags[:min(limit, len(tags))]})
	}
	return scopes
}

// Names lists the names of all scopes together, each once, at most limit. As
// in Tempo the language's own are among them only if scope says so.
func Names(fields []store.Field, scope string, limit int) []string {
	names := []string{}
	for _, s := range Scopes(fields, scope, math.MaxInt) {
		if s.Name != scopeIntrinsic || scope == scopeIntrinsic {
			names = append(names, s.Tags...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(limit, len(names))]
}

// ParseTag reads the name of a tag: one of the language's own, one with a scope
// (span.a, resource.a), or a name that is looked for on span and resource (.a,
// or a alone, as the older API has it).
func ParseTag(text string) traceql.FieldExpr {
	if i, ok := traceql.IntrinsicNamed(text); ok {
		return i
	}
	scopes := []traceql.Scope{traceql.ScopeSpan, traceql.ScopeResource, traceql.ScopeEvent, traceql.ScopeLink, traceql.ScopeInstrumentation}
	for _, scope := range scopes {
		if name, ok := strings.CutPrefix(text, scope.String()+"."); ok {
			return &traceql.Attribute{Scope: scope, Name: name}
		}
	}
	return &traceql.Attribute{Name: strings.TrimPrefix(text, ".")}
}

// Words are the values of a field that has words of the language for values.
func Words(field traceql.FieldExpr) (words []TypedValue, ok bool) {
	switch field {
	case traceql.Status:
		for s := traceql.StatusUnset; s <= traceql.StatusError; s++ {
			words = append(words, TypedValue{"keyword", s.String()})
		}
	case traceql.Kind:
		for k := traceql.KindUnspecified; k <= traceql.KindConsumer; k++ {
			words = append(words, TypedValue{"keyword", k.String()})
		}
	}
	return words, words != nil
}

// Indexed returns the fields of a store that have a field's values; none for
// those of which a store keeps no list, such as durations.
func Indexed(field traceql.FieldExpr) []store.Field {
	switch f := field.(type) {
	case *traceql.Attribute:
		switch f.Scope {
		case traceql.ScopeNone:
			return []store.Field{{Of: store.OfSpan, Key: f.Name}, {Of: store.OfResource, Key: f.Name}}
		case traceql.ScopeSpan:
			return []store.Field{{Of: store.OfSpan, Key: f.Name}}
		case traceql.ScopeResource:
			return []store.Field{{Of: store.OfResource, Key: f.Name}}
		case traceql.ScopeEvent:
			return []store.Field{{Of: store.OfEvent, Key: f.Name}}
		}
	case traceql.Intrinsic:
		switch f {
		case traceql.Name, traceql.RootName:
			return []store.Field{{Of: store.OfName}}
		case traceql.RootServiceName:
			return []store.Field{{Of: store.OfResource, Key: "service.name"}}
		case traceql.StatusMessage:
			return []store.Field{{Of: store.OfStatusMessage}}
		case traceql.EventName:
			return []store.Field{{Of: store.OfEventName}}
		}
	}
	return nil
}

// TypedValues lists values, each once, sorted, at most limit.
func TypedValues(values []any, limit int) []TypedValue {
	typed := []TypedValue{}
	for _, v := range values {
		if t, ok := typedValue(v); ok {
			typed = append(typed, t)
		}
	}
	slices.SortFunc(typed, func(a, b TypedValue) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value)) })
	typed = slices.Compact(typed)
	return typed[:min(limit, len(typed))]
}

// Values are typed ones without their types.
func Values(typed []TypedValue) []string {
	values := make([]string, 0, len(typed))
	for _, t := range typed {
		values = append(values, t.Value)
	}
	return values
}

// typedValue is a value as the language writes it; false for none, and for
// empty text, which nobody chooses from a list.
func typedValue(value any) (TypedValue, bool) {
	switch v := value.(type) {
	case string:
		return TypedValue{"string", v}, v != ""
	case int64:
		return TypedValue{"int", strconv.FormatInt(v, 10)}, true
	case float64:
		return TypedValue{"float", strconv.FormatFloat(v, 'g', -1, 64)}, true
	case bool:
		return TypedValue{"bool", strconv.FormatBool(v)}, true
	case time.Duration:
		return TypedValue{"duration", v.String()}, true
	case traceql.StatusValue:
		return TypedValue{"keyword", v.String()}, true
	case traceql.KindValue:
		return TypedValue{"keyword", v.String()}, true
	}
	return TypedValue{}, false
}
