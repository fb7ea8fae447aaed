package traceql

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// Bounds of a regular expression: its text, and the instructions that it
// compiles to, which bound what one step of matching costs.
const (
	maxRegexpLength  = 1024
	maxRegexpProgram = 2000
)

// CompileRegexp compiles the regular expression of a =~ or !~, which is about
// the whole value; a dot is any character, line breaks too.
func CompileRegexp(text string) (*regexp.Regexp, error) {
	if len(text) > maxRegexpLength {
		return nil, fmt.Errorf("the regular expression has %d bytes, more than %d", len(text), maxRegexpLength)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, regexpError(err)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, regexpError(err)
	}
	if n := len(program.Inst); n > maxRegexpProgram {
		return nil, fmt.Errorf("the regular expression compiles to %d instructions, more than %d", n, maxRegexpProgram)
	}
	re, err := regexp.Compile(`^(?s:` + text + `)$`)
	if err != nil {
		return nil, regexpError(err)
	}
	return re, nil
}

func regexpError(err error) error {
	var bad *syntax.Error
	if errors.As(err, &bad) {
		return fmt.Errorf("the regular expression cannot be read: %s: %s", bad.Code, shortened(bad.Expr))
	}
	return err
}
