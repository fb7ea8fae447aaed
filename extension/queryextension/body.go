package queryextension

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

// readJSON decodes a body that is one JSON object, without fields that into
// does not know. An empty body leaves into as it is.
func readJSON(req *http.Request, into any) error {
	body, err := io.ReadAll(req.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return newProblem(http.StatusRequestEntityTooLarge, "", "the body is larger than %d bytes (http::max_request_body_size)", tooLarge.Limit)
	}
	if err != nil {
		return newProblem(http.StatusBadRequest, "", "the body cannot be read: %s", err)
	}
	if len(body) == 0 {
		return nil
	}
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); kind != "application/json" {
		return newProblem(http.StatusUnsupportedMediaType, "Content-Type",
			"%q is not allowed: must be application/json", req.Header.Get("Content-Type"))
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return newProblem(http.StatusBadRequest, "", "the body is not what this call takes: %s", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return newProblem(http.StatusBadRequest, "", "the body must be one JSON object")
	}
	return nil
}

// field decodes a field of a body, which must be there. allowed ends the
// sentence "must be"; T's zero value is given along with an error. null is
// decoded as T does it.
func field[T any](name string, raw json.RawMessage, allowed string) (value T, err error) {
	if raw == nil {
		return value, newProblem(http.StatusBadRequest, name, "%s is required: must be %s", name, allowed)
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return value, notAllowed(name, raw, allowed)
	}
	return value, nil
}

// notNull decodes a field that must have a value.
func notNull[T any](name string, raw json.RawMessage, allowed string) (value T, err error) {
	given, err := field[*T](name, raw, allowed)
	if err != nil {
		return value, err
	}
	if given == nil {
		return value, notAllowed(name, raw, allowed)
	}
	return *given, nil
}

// notAllowed quotes no more of a value than a line.
func notAllowed(name string, raw json.RawMessage, allowed string) error {
	return newProblem(http.StatusBadRequest, name, "%s: %.100s is not allowed: must be %s", name, raw, allowed)
}
