package event

import (
	"fmt"
	"strings"
)

// Text form of a reference, as it stands in span attributes:
//
//	ID                 an event of the own service and node
//	SERVICE/NODE/ID    an event of another; "" means the own
//	message/ID         the event that bears a message id
//
// In each part "%" is written %25 and "/" is written %2F, so the number of
// slashes tells the forms apart.

const messagePart = "message"

var (
	escapeRef   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescapeRef = strings.NewReplacer("%25", "%", "%2F", "/", "%2f", "/")
)

// String returns the text form, which ParseRef reads.
func (r Ref) String() string {
	switch {
	case r.MessageID != "":
		return messagePart + "/" + escapeRef.Replace(r.MessageID)
	case r.Service == "" && r.Node == "":
		return escapeRef.Replace(r.ID)
	}
	return escapeRef.Replace(r.Service) + "/" + escapeRef.Replace(r.Node) + "/" + escapeRef.Replace(r.ID)
}

// ParseRef reads what String wrote.
func ParseRef(text string) (Ref, error) {
	parts := strings.Split(text, "/")
	for i, part := range parts {
		if strings.Count(part, "%") != strings.Count(part, "%25")+strings.Count(part, "%2F")+strings.Count(part, "%2f") {
			return Ref{}, badRef(text, `"%" must be written %25`)
		}
		parts[i] = unescapeRef.Replace(part)
	}
	if parts[len(parts)-1] == "" {
		return Ref{}, badRef(text, "the id is empty")
	}
	switch {
	case len(parts) == 1:
		return Ref{ID: parts[0]}, nil
	case len(parts) == 2 && parts[0] == messagePart:
		return Ref{MessageID: parts[1]}, nil
	case len(parts) == 3:
		return Ref{Service: parts[0], Node: parts[1], ID: parts[2]}, nil
	}
	return Ref{}, badRef(text, "must be ID, SERVICE/NODE/ID or message/ID")
}

func badRef(text, reason string) error {
	return fmt.Errorf("reference %s: %s", quote(text), reason)
}

// check reports what is wrong with a reference that field f holds.
func (r *Ref) check(f field) error {
	switch {
	case r.ID != "" && r.MessageID != "":
		return invalid(f, "has id and message_id: one of them is allowed")
	case r.ID == "" && r.MessageID == "":
		return invalid(f, "names nothing: needs id or message_id")
	case r.MessageID != "" && (r.Service != "" || r.Node != ""):
		return invalid(f, "has service or node beside message_id: message_id stands alone")
	case len(r.ID) > maxIDBytes:
		return invalid(f, "id %s has %d bytes: 1 to %d are allowed", quote(r.ID), len(r.ID), maxIDBytes)
	}
	return nil
}
