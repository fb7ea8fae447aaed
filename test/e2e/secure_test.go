package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// certificate writes one for localhost that vouches for itself, with its key,
// and returns who trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

// The example in examples/secure, as it is but for the port.
func TestTheQueryAPIForSomeOnly(t *testing.T) {
	secrets := t.TempDir()
	trusting := certificate(t, secrets)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusting}}}
	defer client.CloseIdleConnections()
	tokens := filepath.Join(secrets, "tokens")
	require.NoError(t, os.WriteFile(tokens, []byte("readers-token for the dashboards\n"), 0o600))
	for name, file := range map[string]string{"SCOPE_TOKENS": "tokens", "SCOPE_CERT": "cert.pem", "SCOPE_KEY": "key.pem"} {
		t.Setenv(name, filepath.Join(secrets, file))
	}

	c := newCollector(t, t.TempDir(), nil)
	example, err := os.ReadFile(filepath.Join(root, "examples", "secure", "query.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(example), "0.0.0.0:4320")
	overlay := filepath.Join(secrets, "query.yaml")
	require.NoError(t, os.WriteFile(overlay, []byte(strings.Replace(string(example), "0.0.0.0:4320", c.api, 1)), 0o600))
	c.args = []string{"--config", overlay}

	ask := func(method, path, token string) (answer, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+c.api+path, nil)
		require.NoError(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			return answer{}, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return answer{resp.StatusCode, resp.Header, body}, err
	}
	status := func(path, token string) int {
		a, err := ask(http.MethodGet, path, token)
		require.NoError(t, err)
		return a.status
	}
	c.up = func() bool {
		a, err := ask(http.MethodGet, "/api/v1/health", "readers-token")
		return err == nil && a.status == http.StatusOK && c.listens(c.events)
	}
	c.start()
	c.accept(`{"id":"e1","kind":"mark","time":` + now() + `,"service":"shop","process":"p","name":"paid"}`)

	for _, path := range []string{"/", "/api/v1/events/e1", "/chain?event=e1", "/api/v1/health", "/nothing"} {
		for _, token := range []string{"", "wrong", "readers-toke", "for"} {
			require.Equal(t, http.StatusUnauthorized, status(path, token), "%s with %q", path, token)
		}
	}
	for _, path := range []string{"/", "/api/v1/events/e1", "/chain?event=e1", "/api/v1/health"} {
		require.Equal(t, http.StatusOK, status(path, "readers-token"), path)
	}
	refused, err := ask(http.MethodGet, "/api/v1/events/e1", "")
	require.NoError(t, err)
	require.Equal(t, "application/problem+json", refused.header.Get("Content-Type"))
	require.NotContains(t, string(refused.body), "paid")
	page, err := ask(http.MethodGet, "/", "readers-token")
	require.NoError(t, err)
	require.Contains(t, string(page.body), "https://"+c.api+"/api/v1/events/")

	control, err := ask(http.MethodPost, "/api/v1/pipeline/pause", "readers-token")
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, control.status, "a token is not control")

	require.Equal(t, http.StatusBadRequest, c.request(http.MethodGet, c.api, "/api/v1/health", "", nil).status, "no TLS")
	_, err = (&http.Client{Timeout: patience}).Get("https://" + c.api + "/")
	require.ErrorContains(t, err, "certificate")
	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusting, MaxVersion: tls.VersionTLS12}}
	_, err = (&http.Client{Timeout: patience, Transport: old}).Get("https://" + c.api + "/")
	require.ErrorContains(t, err, "protocol version")

	require.NoError(t, os.WriteFile(tokens, []byte("another-token\n"), 0o600))
	require.Eventually(t, func() bool {
		return status("/", "readers-token") == http.StatusUnauthorized && status("/", "another-token") == http.StatusOK
	}, patience, 20*time.Millisecond, "a change of tokens counts at once")
}
