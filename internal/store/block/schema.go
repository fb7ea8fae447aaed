package block

import "github.com/otelscope/otelscope/internal/store/block/table"

// The columns of every block, in the order of the file.
const (
	colTraceID = iota
	colSpanID
	colParentSpanID
	colServiceName
	colName
	colKind
	colStartTime
	colStartUnixNano
	colDurationNS
	colStatusCode
	colStatusMessage
	colTraceState
	colScopeName
	colScopeVersion
	colServiceInstanceID
	colScopeProcessID
	colScopeEventID
	colScopeEventKind
	colScopeReturnEventID
	colScopeCallState
	colScopeCorrelationID
	colScopeEntityID
	colCodeFunctionName
	colErrorType
	colMessagingSystem
	colMessagingDestinationName
	colMessagingOperationType
	colMessagingMessageID
	colHTTPRequestMethod
	colHTTPRoute
	colHTTPResponseStatusCode
	colServerAddress
	colDBSystemName
	colRPCMethod
	colResourceAttributes
	colSpanAttributes
	colEvents
	colLinks
	colOTLPOrigin
	colOTLPSpan
	columnCount
)

// spanPageBytes is the size of otlp_span's pages: reading one row means
// reading and decompressing one page.
const spanPageBytes = 8 << 10

var columns = [columnCount]table.Spec{
	colTraceID:       {Name: "trace_id"},
	colSpanID:        {Name: "span_id"},
	colParentSpanID:  {Name: "parent_span_id", Optional: true},
	colServiceName:   {Name: "service_name", Dict: true},
	colName:          {Name: "name", Dict: true},
	colKind:          {Name: "kind", Dict: true},
	colStartTime:     {Name: "start_time", Kind: table.Micros},
	colStartUnixNano: {Name: "start_unix_nano", Kind: table.Int64, Sorted: true},
	colDurationNS:    {Name: "duration_ns", Kind: table.Int64},
	colStatusCode:    {Name: "status_code", Dict: true},
	colStatusMessage: {Name: "status_message", Dict: true, Optional: true},
	colTraceState:    {Name: "trace_state", Dict: true, Optional: true},
	colScopeName:     {Name: "scope_name", Dict: true},
	colScopeVersion:  {Name: "scope_version", Dict: true, Optional: true},

	colServiceInstanceID:        {Name: "service_instance_id", Dict: true, Optional: true},
	colScopeProcessID:           {Name: "scope_process_id", Dict: true, Optional: true},
	colScopeEventID:             {Name: "scope_event_id", Optional: true},
	colScopeEventKind:           {Name: "scope_event_kind", Dict: true, Optional: true},
	colScopeReturnEventID:       {Name: "scope_return_event_id", Optional: true},
	colScopeCallState:           {Name: "scope_call_state", Dict: true, Optional: true},
	colScopeCorrelationID:       {Name: "scope_correlation_id", Dict: true, Optional: true},
	colScopeEntityID:            {Name: "scope_entity_id", Dict: true, Optional: true},
	colCodeFunctionName:         {Name: "code_function_name", Dict: true, Optional: true},
	colErrorType:                {Name: "error_type", Dict: true, Optional: true},
	colMessagingSystem:          {Name: "messaging_system", Dict: true, Optional: true},
	colMessagingDestinationName: {Name: "messaging_destination_name", Dict: true, Optional: true},
	colMessagingOperationType:   {Name: "messaging_operation_type", Dict: true, Optional: true},
	colMessagingMessageID:       {Name: "messaging_message_id", Optional: true},
	colHTTPRequestMethod:        {Name: "http_request_method", Dict: true, Optional: true},
	colHTTPRoute:                {Name: "http_route", Dict: true, Optional: true},
	colHTTPResponseStatusCode:   {Name: "http_response_status_code", Kind: table.Int64, Optional: true},
	colServerAddress:            {Name: "server_address", Dict: true, Optional: true},
	colDBSystemName:             {Name: "db_system_name", Dict: true, Optional: true},
	colRPCMethod:                {Name: "rpc_method", Dict: true, Optional: true},

	colResourceAttributes: {Name: "resource_attributes", Dict: true},
	colSpanAttributes:     {Name: "span_attributes"},
	colEvents:             {Name: "events", Optional: true},
	colLinks:              {Name: "links", Optional: true},
	colOTLPOrigin:         {Name: "otlp_origin", Kind: table.Bytes, Dict: true},
	colOTLPSpan:           {Name: "otlp_span", Kind: table.Bytes, PageBytes: spanPageBytes},
}

// promoted returns the column of a span attribute that has one, otherwise -1.
// The column's name is the key with _ for each dot.
func promoted(key []byte) int {
	switch string(key) {
	case "scope.process.id":
		return colScopeProcessID
	case "scope.event.id":
		return colScopeEventID
	case "scope.event.kind":
		return colScopeEventKind
	case "scope.return.event.id":
		return colScopeReturnEventID
	case "scope.call.state":
		return colScopeCallState
	case "scope.correlation.id":
		return colScopeCorrelationID
	case "scope.entity.id":
		return colScopeEntityID
	case "code.function.name":
		return colCodeFunctionName
	case "error.type":
		return colErrorType
	case "messaging.system":
		return colMessagingSystem
	case "messaging.destination.name":
		return colMessagingDestinationName
	case "messaging.operation.type":
		return colMessagingOperationType
	case "messaging.message.id":
		return colMessagingMessageID
	case "http.request.method":
		return colHTTPRequestMethod
	case "http.route":
		return colHTTPRoute
	case "http.response.status_code":
		return colHTTPResponseStatusCode
	case "server.address":
		return colServerAddress
	case "db.system.name":
		return colDBSystemName
	case "rpc.method":
		return colRPCMethod
	}
	return -1
}

// kindNames and statusNames are indexed by OTLP's numbers; others are shown
// as the numbers they are.
var (
	kindNames   = []string{"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"}
	statusNames = []string{"UNSET", "OK", "ERROR"}
)
