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
