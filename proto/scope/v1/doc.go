// Package scopev1 is the protobuf form of native events, for programs that
// send them: POST a marshalled EventsRequest to /v1/events with the content
// type application/x-protobuf. It is generated from event.proto by buf.
package scopev1
