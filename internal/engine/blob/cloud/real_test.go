//go:build cloud

package cloud

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
)

// server is where scripts/engine/NAME lets its server listen.
func server(t *testing.T, name string) *url.URL {
	t.Helper()
	u, err := url.Parse(enginetest.Address(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestGCS runs the suite over Google's client and the JSON API.
func TestGCS(t *testing.T) {
	s := server(t, "gcs")
	t.Setenv("STORAGE_EMULATOR_HOST", s.Host)
	creds := account(t, s.String()+"/token")
	suite(t, func(t *testing.T, cfg Config) *Bucket {
		name := "bucket-" + strings.ToLower(rand.Text())
		body, err := json.Marshal(map[string]string{"name": name})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(s.JoinPath("/storage/v1/b").String()+"?project=test", "application/json", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("create a bucket: %s", resp.Status)
		}
		b, err := OpenGCS(t.Context(), GCS{Bucket: name, CredentialsFile: creds}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	_, err := OpenGCS(t.Context(), GCS{Bucket: "there-is-none", CredentialsFile: creds}, Config{})
	wantError(t, "no such bucket", err, contract.ErrNotFound)
}

// TestAzure runs the suite over Microsoft's client and the REST API, with a key of the account.
func TestAzure(t *testing.T) {
	s := server(t, "azure")
	key, _ := s.User.Password()
	of := Azure{Account: s.User.Username(), Domain: s.Host, KeyFile: file(t, "key", []byte(key))}
	suite(t, func(t *testing.T, cfg Config) *Bucket {
		of := of
		of.Container = "container-" + strings.ToLower(rand.Text())
		client, err := of.client()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Create(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		b, err := OpenAzure(t.Context(), of, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	of.Container = "there-is-none"
	_, err := OpenAzure(t.Context(), of, Config{})
	wantError(t, "no such container", err, contract.ErrNotFound)
	of.KeyFile = file(t, "wrong", []byte("d3Jvbmc="))
	_, err = OpenAzure(t.Context(), of, Config{})
	wantError(t, "a key of somebody else", err, contract.ErrUnavailable)
}
