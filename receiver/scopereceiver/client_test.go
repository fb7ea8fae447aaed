package scopereceiver

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

type auth map[string]any

func (a auth) GetAttribute(name string) any { return a[name] }
func (auth) GetAttributeNames() []string    { return nil }

func from(addr net.Addr, data client.AuthData) context.Context {
	return client.NewContext(context.Background(), client.Info{Addr: addr, Auth: data})
}

func tcp(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }

func TestClientOf(t *testing.T) {
	one := clientOf(from(tcp("127.0.0.1", 1000), nil), "shop")
	for name, same := range map[string]context.Context{
		"another port":     from(tcp("127.0.0.1", 2000), nil),
		"another type":     from(&net.IPAddr{IP: net.ParseIP("127.0.0.1")}, nil),
		"four bytes":       from(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1).To4()}, nil),
		"no name":          from(tcp("127.0.0.1", 1000), auth{"membership": []string{"x"}}),
		"a name of a list": from(tcp("127.0.0.1", 1000), auth{"subject": []string{"x"}, "username": ""}),
	} {
		require.Equal(t, one, clientOf(same, "shop"), name)
	}
	anna := clientOf(from(tcp("127.0.0.1", 1000), auth{"subject": "anna"}), "shop")
	require.Equal(t, anna, clientOf(from(tcp("10.0.0.1", 1), auth{"subject": "anna", "username": "x"}), "shop"), "a name is the same everywhere")
	require.Equal(t, anna, clientOf(from(nil, auth{"username": "anna"}), "shop"))

	different := map[uint64]string{}
	for name, id := range map[string]uint64{
		"one":               one,
		"another address":   clientOf(from(tcp("127.0.0.2", 1000), nil), "shop"),
		"IPv6":              clientOf(from(tcp("::1", 1000), nil), "shop"),
		"another service":   clientOf(from(tcp("127.0.0.1", 1000), nil), "till"),
		"no service":        clientOf(from(tcp("127.0.0.1", 1000), nil), ""),
		"anna":              anna,
		"annas":             clientOf(from(nil, auth{"subject": "annas"}), "hop"),
		"a socket":          clientOf(from(&net.UnixAddr{Name: "anna"}, nil), "shop"),
		"unknown":           clientOf(context.Background(), "shop"),
		"an empty address":  clientOf(from(&net.TCPAddr{}, nil), "shop"),
		"a name like an ip": clientOf(from(nil, auth{"subject": "127.0.0.1"}), "shop"),
	} {
		require.NotZero(t, id)
		require.Empty(t, different[id], name)
		different[id] = name
	}
}

func TestFirstService(t *testing.T) {
	td := ptrace.NewTraces()
	require.Empty(t, firstService(td))
	resource := td.ResourceSpans().AppendEmpty().Resource()
	require.Empty(t, firstService(td))
	resource.Attributes().PutStr("service.name", "shop")
	td.ResourceSpans().AppendEmpty().Resource().Attributes().PutStr("service.name", "till")
	require.Equal(t, "shop", firstService(td))
}

// TestClientsAreToldApart sends from two addresses over each of the protocols.
func TestClientsAreToldApart(t *testing.T) {
	dialer := func(local string) *net.Dialer {
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	}
	over := func(local string) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer(local).DialContext}}
	}
	events := func(r *rig, local, service string) {
		res, err := over(local).Post(r.events, "application/x-ndjson", strings.NewReader(strings.ReplaceAll(mark("m"), "shop", service)))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	web := func(r *rig, local, service string) {
		body, err := ptraceotlp.NewExportRequestFromTraces(ofService(service)).MarshalProto()
		require.NoError(t, err)
		res, err := over(local).Post(r.http, "application/x-protobuf", strings.NewReader(string(body)))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	rpc := func(r *rig, local, service string) {
		dial := func(ctx context.Context, address string) (net.Conn, error) {
			return dialer(local).DialContext(ctx, "tcp", address)
		}
		conn, err := grpc.NewClient("passthrough:///"+r.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))
		require.NoError(t, err)
		defer conn.Close()
		_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(ofService(service)))
		require.NoError(t, err)
	}
	r := start(t, testConfig(t), nil)
	for _, send := range []func(r *rig, local, service string){events, web, rpc} {
		send(r, "127.0.0.1", "shop")
		send(r, "127.0.0.1", "shop")
		send(r, "127.0.0.1", "till")
		send(r, "127.0.0.2", "shop")
		require.Equal(t, 3, r.ring.Stats().Clients, "whatever the protocol")
	}
}

func ofService(name string) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", name)
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName("span")
	s.SetTraceID([16]byte{1})
	s.SetSpanID([8]byte{1})
	return td
}

func BenchmarkClientOf(b *testing.B) {
	ctx := from(tcp("127.0.0.1", 1000), nil)
	b.ReportAllocs()
	for b.Loop() {
		clientOf(ctx, "a service of some length")
	}
}
