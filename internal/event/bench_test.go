package event

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
)

// ordinary is an event of ordinary size, on one line.
func ordinary(i int) string {
	return fmt.Sprintf(`{"id":"e%08d","kind":"send","time":"1763900000%09d","service":"orders","node":"orders@10.0.0.7",`+
		`"process":"<0.%d.0>","name":"charge_card","message_id":"m-%08d","peer":"<0.771.0>","peer_service":"payments",`+
		`"correlation_id":"order-%06d","attributes":{"amount":%d,"currency":"EUR","attempt":1,"express":true}}`,
		i, i, i%500, i, i/7, i*13)
}

func ordinaryBody(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		b.WriteString(ordinary(i))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func benchmarkDecode(b *testing.B, format Format, body []byte, events int) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body) / events))
	b.ResetTimer()
	for i := 0; i < b.N; i += events {
		res, err := Decode(format, body, func() string { return "" })
		if err != nil || len(res.Events) != events {
			b.Fatal(err, len(res.Events))
		}
	}
}

func BenchmarkDecodeNDJSON(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkDecode(b, FormatNDJSON, ordinaryBody(n), n) })
	}
}

func BenchmarkDecodeProto(b *testing.B) {
	res, err := Decode(FormatNDJSON, ordinaryBody(1000), noID)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkDecode(b, FormatProto, request(b, res.Events), 1000)
}

func BenchmarkAppendJSON(b *testing.B) {
	res, err := Decode(FormatNDJSON, ordinaryBody(1), nil)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = res.Events[0].AppendJSON(buf[:0])
	}
}
