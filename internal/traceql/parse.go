package traceql

import "fmt"

// Error says where a query cannot be read, and why.
type Error struct {
	Column  int    // from 1, in characters
	Problem string // what was found and what was expected, or what is not supported
	// Unsupported says that it is TraceQL, but a part that Scope does not have.
	Unsupported bool
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Problem) }

// Parse reads a query. Errors: *Error.
func Parse(text string) (*Query, error) { return nil, &Error{1, "not written yet", false} }
