package diagram

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Bounds on what is taken of a text, in runes, and of a link, in bytes.
const (
	maxDetail = 2000
	maxTitle  = 200
	maxName   = 200 // in tooltips and exports
	maxHref   = 2048
)

// clean makes text safe to show on one line: what is not UTF-8 or cannot be
// printed becomes U+FFFD, white space one blank, and what would turn the
// direction of the text around it is left out.
func clean(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case unicode.Is(unicode.Bidi_Control, r):
			continue
		case !unicode.IsGraphic(r) && r != '\u200d', r == '\ufffe', r == '\uffff':
			r = unicode.ReplacementChar
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lines is clean for text of several lines.
func lines(s string) string {
	all := strings.Split(s, "\n")
	for i, l := range all {
		all[i] = clean(l)
	}
	return strings.TrimSpace(strings.Join(all, "\n"))
}

// cut shortens s to at most n cells, the last an ellipsis.
func cut(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	used, end := 0, 0
	for i, r := range s {
		if used += cell(r); used > n-1 {
			end = i
			break
		}
	}
	return strings.TrimRight(s[:end], " ") + "…"
}

// cells returns how many columns s takes in a monospaced font.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += cell(r)
	}
	return n
}

// cell returns the columns of r: two for East Asian scripts and symbols beyond
// the BMP. A combining mark counts one although it takes none: a bound on
// cells shall bound bytes.
func cell(r rune) int {
	switch {
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0x1b000, r == 0xfdfd:
		return 2
	}
	return 1
}

// short writes a span of time with three digits: 0, 12 µs, 1.25 s, 3m05s.
func short(ns int64) string {
	sign := ""
	if ns < 0 {
		sign, ns = "−", -ns
	}
	d := time.Duration(ns)
	f := float64(ns)
	switch {
	case ns == 0:
		return "0"
	case ns < 1000:
		return fmt.Sprintf("%s%d ns", sign, ns)
	case f < 999.5e3:
		return sign + digits(f/1e3) + " µs"
	case f < 999.5e6:
		return sign + digits(f/1e6) + " ms"
	case d < time.Minute:
		return sign + digits(f/1e9) + " s"
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%s%dm%02ds", sign, d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%s%dh%02dm", sign, d/time.Hour, d%time.Hour/time.Minute)
}

// digits writes f with three significant digits and no trailing zeros.
func digits(f float64) string {
	places := 2
	if f >= 9.995 {
		places = 1
	}
	if f >= 99.95 {
		places = 0
	}
	s := strconv.FormatFloat(f, 'f', places, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// scale returns how to write times so that they compare: all in one unit and
// with as many digits as the finest of them needs, at most six.
func scale(all []int64) func(int64) string {
	widest := int64(0)
	for _, t := range all {
		widest = max(widest, t, -t)
	}
	unit, size := " s", int64(time.Second)
	switch {
	case widest < 10*int64(time.Microsecond):
		unit, size = " ns", 1
	case widest < 10*int64(time.Millisecond):
		unit, size = " µs", int64(time.Microsecond)
	case widest < 10*int64(time.Second):
		unit, size = " ms", int64(time.Millisecond)
	}
	places := 0
	for step := size; places < 6 && step > 1 && slices.ContainsFunc(all, func(t int64) bool { return t%step != 0 }); step /= 10 {
		places++
	}
	if widest/size >= 10000 {
		places = min(places, 3)
	}
	return func(t int64) string {
		sign := "+"
		if t < 0 {
			sign, t = "−", -t
		} else if t == 0 {
			sign = ""
		}
		digits := fmt.Sprintf("%09d", t%size*(int64(time.Second)/size))[:places]
		if digits != "" {
			digits = "." + digits
		}
		return sign + strconv.FormatInt(t/size, 10) + digits + unit
	}
}

// moment writes a time of a clock in UTC.
func moment(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000000 UTC") }

// confidence writes a confidence with at most two digits; it rounds down, so
// that only certainty is 1.
func confidence(c float64) string {
	if !(c > 0) {
		return "0"
	}
	return strconv.FormatFloat(math.Floor(min(c, 1)*100+1e-9)/100, 'f', -1, 64)
}

// link returns href if it leads to http, https or a path of the same site,
// else "". What of it could be more than part of an address to one of the
// formats is percent-encoded.
func link(href string) string {
	if len(href) > maxHref || strings.ContainsFunc(href, func(r rune) bool { return r <= ' ' || r == '\\' || !unicode.IsGraphic(r) }) {
		return ""
	}
	u, err := url.Parse(href)
	if err != nil {
		return ""
	}
	switch {
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil,
		u.Scheme == "" && u.Host == "" && !strings.HasPrefix(href, "//") && href != "":
		return encode(u.String())
	}
	return ""
}

// encode percent-encodes all of an address but the plainest characters, and
// percent signs that encode nothing.
func encode(s string) string {
	const plain = "-._~/:?#@!$&+,=[]"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		_, err := strconv.ParseUint(s[min(i+1, len(s)):min(i+3, len(s))], 16, 8)
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(plain, c) >= 0 ||
			c == '%' && err == nil && i+2 < len(s) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// tooltip says everything about n in lines.
func tooltip(n Node) string {
	l := n.lane()
	all := []string{cut(clean(n.Name), maxName), cut(clean(l.serviceLabel()+", "+l.label()), 2*maxName)}
	if n.Kind != "" {
		all[0] += " (" + cut(clean(n.Kind), 20) + ")"
	}
	if n.start() > 0 {
		all = append(all, "began "+moment(n.Start))
	}
	if d, ok := n.duration(); ok {
		all = append(all, "took "+short(d)+", ended "+moment(n.End))
	}
	all = append(all, states(n)...)
	if d := lines(n.Detail); d != "" {
		all = append(all, cut(d, maxDetail))
	}
	return strings.Join(all, "\n")
}

// states lists what is special about n, in words.
func states(n Node) []string {
	var all []string
	if n.Failed {
		all = append(all, "failed")
	}
	if n.Open {
		all = append(all, "open: no return was seen")
	}
	if n.Missing {
		all = append(all, "missing: named by an edge, not found")
	}
	if n.Root {
		all = append(all, "what was asked for")
	}
	return all
}

// name returns what stands on a node.
func name(n Node) string {
	if s := clean(n.Name); s != "" {
		return s
	}
	if s := clean(n.ID); s != "" {
		return s
	}
	return "?"
}
