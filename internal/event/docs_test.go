package event

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	scopev1 "github.com/otelscope/otelscope/proto/scope/v1"
)

func documentation(t *testing.T) string {
	text, err := os.ReadFile("../../docs/events.md")
	require.NoError(t, err)
	return string(text)
}

func TestDocumentedBodies(t *testing.T) {
	bodies := regexp.MustCompile(`(?s)(--data-binary|-d) '(.*?)'`).FindAllStringSubmatch(documentation(t), -1)
	require.Len(t, bodies, 4)
	var accepted, rejected []int
	for _, body := range bodies {
		res, err := Decode(FormatNDJSON, []byte(body[2]), sameID)
		if err != nil {
			require.Contains(t, documentation(t), err.Error())
		}
		for _, r := range res.Rejected {
			require.Contains(t, documentation(t), strings.ReplaceAll(r.Err.Error(), `"`, `\"`))
		}
		accepted, rejected = append(accepted, len(res.Events)), append(rejected, len(res.Rejected))
	}
	require.Equal(t, []int{1, 1, 0, 6}, accepted)
	require.Equal(t, []int{0, 1, 0, 0}, rejected)
}

func TestDocumentedFields(t *testing.T) {
	_, table, _ := strings.Cut(documentation(t), "\n| field | type | meaning |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]bool{}
	for _, row := range strings.Split(table, "\n")[1:] {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			documented[name[1]] = true
		}
	}
	known := map[string]bool{}
	for f := fieldID; f < fieldCount; f++ {
		known[f.String()] = true
	}
	require.Equal(t, known, documented)
}

func TestProtoSchemaHasTheSameFields(t *testing.T) {
	fields := (&scopev1.Event{}).ProtoReflect().Descriptor().Fields()
	require.Equal(t, int(fieldCount)-1, fields.Len())
	for i := range fields.Len() {
		f := fields.Get(i)
		name := string(f.Name())
		if name == "time_unix_nano" {
			name = "time"
		}
		require.Equal(t, field(f.Number()), fieldNamed([]byte(name)), name)
	}
	for message, numbers := range map[protoreflect.ProtoMessage][]string{
		&scopev1.EventsRequest{}: {requestEvents: "events"},
		&scopev1.Error{}:         append([]string{""}, errorParts...),
		&scopev1.Reference{}:     append([]string{""}, refParts...),
		&scopev1.KeyValue{}:      {pairKey: "key", pairValue: "value"},
		&scopev1.ArrayValue{}:    {listItems: "values"},
		&scopev1.KeyValueList{}:  {listItems: "values"},
		&scopev1.AnyValue{}: {
			anyString: "string_value", anyBool: "bool_value", anyInt: "int_value", anyDouble: "double_value",
			anyArray: "array_value", anyMap: "kvlist_value", anyBytes: "bytes_value",
		},
	} {
		fields := message.ProtoReflect().Descriptor().Fields()
		require.Equal(t, len(numbers)-1, fields.Len())
		for number, name := range numbers[1:] {
			require.Equal(t, name, string(fields.ByNumber(protoreflect.FieldNumber(number+1)).Name()))
		}
	}
}
