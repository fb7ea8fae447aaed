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
	maxRegexpsOfAll  = 10000 // instructions of all in a query
)

// CompileRegexp compiles the regular expression of a =~ or !~, which is about
// the whole value; a dot is any character, line breaks too. What Parse let
// through compiles.
func CompileRegexp(text string) (*regexp.Regexp, error) {
	re, _, err := compileRegexp(text)
	return re, err
}

// compileRegexp also returns how many instructions it is.
func compileRegexp(text string) (*regexp.Regexp, int, error) {
	if len(text) > maxRegexpLength {
		return nil, 0, fmt.Errorf("the regular expression has %d bytes, more than %d", len(text), maxRegexpLength)
	}
	// Alone first: what is put around it must not complete it.
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, regexpError(err)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, 0, err
	}
	size := len(program.Inst)
	if size > maxRegexpProgram {
		return nil, 0, fmt.Errorf("the regular expression compiles to %d instructions, more than %d", size, maxRegexpProgram)
	}
	re, err := regexp.Compile(`^(?s:` + text + `)$`)
	if err != nil {
		return nil, 0, regexpError(err)
	}
	return re, size, nil
}

func regexpError(err error) error {
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		return fmt.Errorf("the regular expression cannot be read: %s: %s", bad.Code, shortened(bad.Expr))
	}
	return err
}
