package queryextension

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/store"
)

func newTestExtension(cfg *Config, s store.Store) *queryExtension {
	return newExtension(cfg, extensiontest.NewNopSettings(metadata.Type), opens(s))
}

func TestIsFoundAsHub(t *testing.T) {
	s := newFaulty()
	c := serving(t, s)
	found, err := hub.Find(hubtest.Host{hubtest.ID: c.extension}, "store", hubtest.ID)
	require.NoError(t, err)
	require.Same(t, s, found.Store().(*watched).Store)
	require.Same(t, c.extension.monitor, found.Pressure())
}

func TestShutdownInAnyState(t *testing.T) {
	e := newTestExtension(testConfig(), newFaulty())
	require.NoError(t, e.Shutdown(t.Context()), "never started")

	s := newFaulty()
	e = newTestExtension(testConfig(), s)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, e.Shutdown(t.Context()), "twice")
	_, err := e.Store().Trace(t.Context(), pcommon.TraceID{1})
	require.ErrorIs(t, err, store.ErrClosed, "who still has the store is told")
	_, err = http.Get("http://" + e.listener.Addr().String())
	require.Error(t, err)
}

func TestStartThatCannotOpenTheStore(t *testing.T) {
	cfg := testConfig()
	cfg.Storage.Directory = "/some/folder"
	e := newExtension(cfg, extensiontest.NewNopSettings(metadata.Type), func(StorageConfig, store.Follower, *zap.Logger) (store.Store, error) {
		return nil, errors.New("in use by process 7")
	})
	require.EqualError(t, e.Start(t.Context(), componenttest.NewNopHost()),
		`storage::directory: cannot open the store in "/some/folder": in use by process 7`)
	require.NoError(t, e.Shutdown(t.Context()))
}

// What a start that fails leaves behind must not be in the way of the next.
func TestStartThatFailsLater(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer taken.Close()
	for want, change := range map[string]func(*Config){
		`http::endpoint: cannot listen on "` + taken.Addr().String() + `"`: func(cfg *Config) { cfg.HTTP.NetAddr.Endpoint = taken.Addr().String() },
		`http: failed to resolve authenticator "nobody"`: func(cfg *Config) {
			cfg.HTTP.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: component.MustNewID("nobody")}})
		},
		`http::endpoint: cannot listen`: func(cfg *Config) {
			cfg.HTTP.TLS = configoptional.Some(configtls.ServerConfig{Config: configtls.Config{CertFile: "no.pem", KeyFile: "no.pem"}})
		},
	} {
		var closed atomic.Int32
		s := newFaulty()
		s.close = func(context.Context) error { closed.Add(1); return nil }
		cfg := testConfig()
		change(cfg)
		e := newTestExtension(cfg, s)
		require.ErrorContains(t, e.Start(t.Context(), hubtest.Host{}), want)
		require.Equal(t, int32(1), closed.Load(), "the store is closed before Start returns")
		require.NoError(t, e.Shutdown(t.Context()))
	}
}

func TestStoreThatDoesNotClose(t *testing.T) {
	s := newFaulty()
	s.close = func(context.Context) error { return errors.New("disk gone") }
	cfg := testConfig()
	e := newTestExtension(cfg, s)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	require.EqualError(t, e.Shutdown(t.Context()), `storage::directory: cannot close the store in "./data": disk gone`)
}

// The same folder is opened again in one process, by the real store.
func TestReload(t *testing.T) {
	cfg := testConfig()
	cfg.Storage.Directory = t.TempDir()
	id := ""
	for range 3 {
		ext, err := NewFactory().Create(t.Context(), extensiontest.NewNopSettings(metadata.Type), cfg)
		require.NoError(t, err)
		e := ext.(*queryExtension)
		require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, e.Ready())
		if id == "" {
			id = "e1"
			write(t, e.Store(), native("pay", "n1", id))
		}
		var got eventJSON
		c := &client{extension: e, url: "http://" + e.listener.Addr().String(), http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
		c.get(t, "/api/v1/events/"+id).into(t, &got)
		require.Equal(t, "pay", got.Service)
		require.NoError(t, e.NotReady())
		require.NoError(t, e.Shutdown(t.Context()))
	}
	files, err := os.ReadDir(cfg.Storage.Directory)
	require.NoError(t, err)
	require.NotEmpty(t, files)
}

func TestTwoCannotShareAFolder(t *testing.T) {
	cfg := testConfig()
	cfg.Storage.Directory = t.TempDir()
	first, err := NewFactory().Create(t.Context(), extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.NoError(t, first.Start(t.Context(), componenttest.NewNopHost()))
	second, err := NewFactory().Create(t.Context(), extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, second.Start(t.Context(), componenttest.NewNopHost()), cfg.Storage.Directory)
	require.NoError(t, second.Shutdown(t.Context()))
	require.NoError(t, first.Shutdown(t.Context()))
}

// A client that takes its time must not hold up the end.
func TestShutdownCutsOffSlowRequests(t *testing.T) {
	begun := make(chan struct{})
	s := newFaulty()
	s.trace = func(ctx context.Context, _ pcommon.TraceID) ([]store.Span, error) {
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	e := newTestExtension(testConfig(), s)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	conn, err := net.Dial("tcp", e.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET "+storedTrace+" HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = e.Shutdown(ctx)
	got, err := io.ReadAll(conn)
	require.Empty(t, got)
	_ = err // end of file or reset, as it comes
}

func TestServerThatEnds(t *testing.T) {
	host := &statusHost{events: make(chan *componentstatus.Event, 1)}
	e := newTestExtension(testConfig(), newFaulty())
	require.NoError(t, e.Start(t.Context(), host))
	require.NoError(t, e.listener.Close())
	event := <-host.events
	require.Equal(t, componentstatus.StatusFatalError, event.Status())
	require.ErrorContains(t, event.Err(), "the query API ended")
	require.NoError(t, e.Shutdown(t.Context()))
}

type statusHost struct{ events chan *componentstatus.Event }

func (*statusHost) GetExtensions() map[component.ID]component.Component { return nil }
func (h *statusHost) Report(event *componentstatus.Event)               { h.events <- event }

func TestAuthentication(t *testing.T) {
	authID, middlewareID := component.MustNewID("auth"), component.MustNewID("limits")
	cfg := testConfig()
	cfg.HTTP.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: authID}})
	cfg.HTTP.Middlewares = []configmiddleware.Config{{ID: middlewareID}}
	e := newTestExtension(cfg, newFaulty())
	require.Equal(t, []component.ID{authID, middlewareID}, e.Dependencies())
	require.Empty(t, newTestExtension(testConfig(), nil).Dependencies())

	cfg.HTTP.Middlewares = nil
	require.NoError(t, e.Start(t.Context(), hubtest.Host{authID: refusing{}}))
	res, err := http.Get("http://" + e.listener.Addr().String() + "/api/v1/status")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	answer{res.StatusCode, res.Header, body}.problem(t, http.StatusUnauthorized)
	require.NoError(t, e.Shutdown(t.Context()))
	http.DefaultClient.CloseIdleConnections()
}

// refusing lets nobody in.
type refusing struct {
	component.StartFunc
	component.ShutdownFunc
	extensionauth.Server
}

func (refusing) Authenticate(ctx context.Context, _ map[string][]string) (context.Context, error) {
	return ctx, errors.New("who are you?")
}

func TestManyAskAtOnce(t *testing.T) {
	s := newFaulty()
	c := serving(t, s)
	write(t, s, native("pay", "", "e"))
	done := make(chan error)
	for i := range 8 {
		go func() {
			off := c.extension.RegisterStatus(component.MustNewIDWithName("scope", string(rune('a'+i))), func() any { return i })
			defer off()
			for _, path := range []string{"/api/v1/status", "/api/v1/events/e", "/", "/api/v1/dead-letters"} {
				res, err := c.http.Get(c.url + path)
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					err = errors.Join(err, res.Body.Close())
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		require.NoError(t, <-done)
	}
	require.Eventually(t, func() bool { return len(c.extension.registry.status.list()) == 0 }, time.Minute, time.Millisecond)
}
