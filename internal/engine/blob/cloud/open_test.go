//go:build cloud

package cloud

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
)

// services answers a listing of one bucket or container as Google and Microsoft do, and says of
// every other that there is none.
func services(t *testing.T, seen func(r *http.Request)) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen(r)
		switch {
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"granted","token_type":"Bearer","expires_in":3600}`)
		case strings.HasSuffix(r.URL.Path, "/b/evidence/o"):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"kind":"storage#objects","items":[]}`)
		case strings.HasSuffix(r.URL.Path, "/account/evidence"):
			w.Header().Set("Content-Type", "application/xml")
			_, _ = io.WriteString(w, `<?xml version="1.0"?><EnumerationResults ContainerName="evidence"><Blobs/><NextMarker/></EnumerationResults>`)
		default:
			w.Header().Set("x-ms-error-code", "ContainerNotFound")
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func account(t *testing.T, tokens string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "soc@example.com", "private_key_id": "1", "token_uri": tokens,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "gcs.json", b)
}

func TestOpenGCS(t *testing.T) {
	s := services(t, func(*http.Request) {})
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(s.URL, "http://"))
	of := GCS{Bucket: "evidence", CredentialsFile: account(t, s.URL+"/token")}
	b, err := OpenGCS(t.Context(), of, Config{Prefix: "soc"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	// An emulator is asked without credentials, so those of the file are used by themselves.
	creds, err := of.credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if token, err := creds.TokenSource.Token(); err != nil || token.AccessToken != "granted" {
		t.Errorf("token %+v, %v: the file of credentials is not used", token, err)
	}
	of.Bucket = "none"
	_, err = OpenGCS(t.Context(), of, Config{})
	wantError(t, "no such bucket", err, contract.ErrNotFound)
	of.CredentialsFile = file(t, "bad.json", []byte("{}"))
	_, err = OpenGCS(t.Context(), of, Config{})
	wantError(t, "a file that holds no credentials", err, contract.ErrInvalid)
	of.CredentialsFile = account(t, s.URL+"/token")
	s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err = OpenGCS(ctx, of, Config{})
	wantError(t, "away", err, contract.ErrUnavailable)
}

func TestOpenAzure(t *testing.T) {
	authorised := ""
	s := services(t, func(r *http.Request) { authorised = r.Header.Get("Authorization") })
	of := Azure{
		Account: "account", Container: "evidence", Domain: strings.TrimPrefix(s.URL, "http://"),
		KeyFile: file(t, "key", []byte(base64.StdEncoding.EncodeToString([]byte("a key of the account"))+"\n")),
	}
	b, err := OpenAzure(t.Context(), of, Config{Prefix: "soc"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(authorised, "SharedKey account:") {
		t.Errorf("authorised as %q: the file of the key is not used", authorised)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	of.Container = "none"
	_, err = OpenAzure(t.Context(), of, Config{})
	wantError(t, "no such container", err, contract.ErrNotFound)
	of.KeyFile = file(t, "bad", []byte("no base64: secret!"))
	_, err = OpenAzure(t.Context(), of, Config{})
	wantError(t, "a file that holds no key", err, contract.ErrInvalid)
	if strings.Contains(err.Error(), "secret!") {
		t.Errorf("the error quotes the key: %v", err)
	}
}

func wantError(t *testing.T, what string, got, wanted error) {
	t.Helper()
	if !errors.Is(got, wanted) {
		t.Errorf("%s: %v, want %v", what, got, wanted)
	}
}
