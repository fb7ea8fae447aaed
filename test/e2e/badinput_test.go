package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

// TestBadInput sends what goes wrong in life, reads the answer, and sends a
// good event after each.
func TestBadInput(t *testing.T) {
	c := startCollector(t)
	good := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"kind":"mark","time":%s,"process":"p","name":"ok"}`, id, now())
	}
	const ndjson = "application/x-ndjson"
	gib := int64(1) << 30
	cases := []struct {
		name, contentType, encoding string
		body                        io.Reader
		status                      int
		says                        []string
	}{
		{"wrong type", ndjson, "", strings.NewReader(`{"kind":"mark","time":1,"process":7,"name":"x"}`), 400, []string{`"accepted":0`, `"index":0`, "process"}},
		{"unknown field", ndjson, "", strings.NewReader(`{"kind":"mark","time":1,"process":"p","name":"x","prozess":"q"}`), 400, []string{"prozess"}},
		{"unknown kind", ndjson, "", strings.NewReader(`{"id":"e9","kind":"cal","time":1,"process":"p"}`), 400, []string{`"id":"e9"`, `kind: unknown kind \"cal\"`}},
		{"truncated JSON", ndjson, "", strings.NewReader(`{"kind":"mark","time":1,"proc`), 400, []string{"offset"}},
		{"truncated gzip", ndjson, "gzip", bytes.NewReader(gzipped(strings.Repeat(good("g"), 50))[:60]), 400, []string{"error"}},
		{"gzip bomb", ndjson, "gzip", bytes.NewReader(gzipped(strings.Repeat(" ", 64<<20))), 413, []string{"error"}},
		{"wrong content type", "text/csv", "", strings.NewReader("a,b"), 415, []string{"text/csv", "application/x-ndjson", "application/json", "application/x-protobuf"}},
		{"1 GB body", ndjson, "", io.LimitReader(zeros{}, gib), 413, []string{"error"}},
		{"deep nesting", ndjson, "", strings.NewReader(`{"kind":"mark","time":1,"process":"p","name":"x","attributes":{"a":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}}`), 400, []string{"error"}},
		{"invalid UTF-8", ndjson, "", strings.NewReader("{\"kind\":\"mark\",\"time\":1,\"process\":\"p\",\"name\":\"\xff\xfe\"}"), 400, []string{"name", "UTF-8"}},
		{"negative time", ndjson, "", strings.NewReader(`{"kind":"mark","time":-1,"process":"p","name":"x"}`), 400, []string{"time", "-1"}},
		{"absurd time", ndjson, "", strings.NewReader(`{"kind":"mark","time":"2999-01-01T00:00:00Z","process":"p","name":"x"}`), 400, []string{"time", "2999"}},
		{"duplicate keys", ndjson, "", strings.NewReader(`{"kind":"mark","time":1,"process":"p","process":"q","name":"x"}`), 400, []string{"process"}},
		{"all invalid", ndjson, "", strings.NewReader(`{"kind":"x"}` + "\n" + `{"kind":"y"}`), 400, []string{`"accepted":0`, `"index":0`, `"index":1`}},
		{"some invalid", ndjson, "", strings.NewReader(good("some") + "\n" + `{"kind":"y"}`), 200, []string{`"accepted":1`, `"index":1`}},
		{"duplicate ids", ndjson, "", strings.NewReader(`{"id":"twice","kind":"mark","time":5,"process":"p","name":"x"}` + "\n" + `{"id":"twice","kind":"mark","time":5,"process":"p","name":"x"}`), 200, []string{`"accepted":2`}},
		{"empty body", ndjson, "", strings.NewReader(""), 200, []string{`"accepted":0`}},
	}
	for i, bad := range cases {
		t.Run(bad.name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, "http://"+c.events+"/v1/events", bad.body)
			require.NoError(t, err)
			req.Header.Set("Content-Type", bad.contentType)
			if bad.encoding != "" {
				req.Header.Set("Content-Encoding", bad.encoding)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				// The server may close a connection whose body it will not
				// read before the client has read the answer.
				require.Equal(t, "1 GB body", bad.name, err)
			} else {
				text, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				t.Logf("%d %s", resp.StatusCode, bytes.TrimSpace(text))
				require.Equal(t, bad.status, resp.StatusCode, string(text))
				for _, part := range bad.says {
					require.Contains(t, string(text), part)
				}
			}
			id := fmt.Sprintf("good-%d", i)
			c.accept(good(id))
			require.Equal(t, "ok", c.event(id).Name)
		})
	}

	t.Run("what was invalid is in the dead letters", func(t *testing.T) {
		var list struct {
			DeadLetters []struct{ Source, Reason string } `json:"dead_letters"`
		}
		c.get("/api/v1/dead-letters").decode(t, &list)
		require.NotEmpty(t, list.DeadLetters)
		require.Equal(t, "event", list.DeadLetters[0].Source)
	})
}
