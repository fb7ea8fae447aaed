// Package permanent tells errors that trying again can cure from those that it
// cannot.
package permanent

import (
	"errors"
	"reflect"

	"go.opentelemetry.io/collector/consumer/consumererror"
)

// wrapper is the type that consumererror.NewPermanent makes.
var wrapper = reflect.TypeOf(consumererror.NewPermanent(errors.New("")))

// Is reports whether trying again is pointless. An error that joins several (a
// fan-out to several exporters) is permanent only if all of them are;
// consumererror.IsPermanent is satisfied with one.
func Is(err error) bool {
	for err != nil {
		if reflect.TypeOf(err) == wrapper {
			return true
		}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			return all(joined.Unwrap())
		}
		err = errors.Unwrap(err)
	}
	return false
}

func all(errs []error) bool {
	for _, err := range errs {
		if !Is(err) {
			return false
		}
	}
	return len(errs) > 0
}
