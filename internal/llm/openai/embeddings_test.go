package openai_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/openai"
)

// embeddings is a provider in front of a server that answers with a status and a body.
func embeddings(t *testing.T, status int, body string, look func(*http.Request, map[string]any)) *openai.Provider {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent map[string]any
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(b, &sent)
		}
		if err != nil {
			t.Error(err)
		}
		if look != nil {
			look(r, sent)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return openai.New(openai.Config{BaseURL: s.URL + "/v1", Transport: s.Client().Transport, Key: func(context.Context) (string, error) { return "k", nil }})
}

func TestEmbed(t *testing.T) {
	p := embeddings(t, 200, `{"object":"list","model":"text-embedding-3-small-2024","data":[{"object":"embedding","index":1,"embedding":[0,2]},
		{"object":"embedding","index":0,"embedding":[3,4]}],"usage":{"prompt_tokens":9,"total_tokens":9}}`, func(r *http.Request, sent map[string]any) {
		if r.URL.Path != "/v1/embeddings" || r.Header.Get("Authorization") != "Bearer k" || sent["model"] != "text-embedding-3-small" || sent["dimensions"] != 2.0 || len(sent["input"].([]any)) != 2 {
			t.Errorf("%s: %v", r.URL, sent)
		}
	})
	e, err := p.Embed(t.Context(), &openai.EmbeddingRequest{Model: "text-embedding-3-small", Texts: []string{"a", "b"}, Size: 2, Shorten: true})
	if err != nil {
		t.Fatal(err)
	}
	if e.Vectors[0][0] != 0.6 || e.Vectors[0][1] != 0.8 || e.Vectors[1][1] != 1 || e.Usage != (llm.Usage{Input: 9, Known: true}) || e.Model != "text-embedding-3-small-2024" {
		t.Errorf("got %+v", e)
	}
}

func TestEmbeddingsThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   llm.Kind
	}{
		"one is missing":  {200, `{"data":[{"index":0,"embedding":[1,0]}]}`, llm.KindUnreadable},
		"one comes twice": {200, `{"data":[{"index":0,"embedding":[1,0]},{"index":0,"embedding":[1,0]}]}`, llm.KindUnreadable},
		"another index":   {200, `{"data":[{"index":0,"embedding":[1,0]},{"index":7,"embedding":[1,0]}]}`, llm.KindUnreadable},
		"another size":    {200, `{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1,0,0]}]}`, llm.KindUnreadable},
		"no length":       {200, `{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[0,0]}]}`, llm.KindUnreadable},
		"too large":       {200, `{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1e308,1e308]}]}`, llm.KindUnreadable},
		"no JSON":         {200, `<html>`, llm.KindUnreadable},
		"wrong key":       {401, `{"error":{"message":"no"}}`, llm.KindAuth},
		"slow down":       {429, `{"error":{"message":"no"}}`, llm.KindRate},
		"broken":          {500, `{"error":{"message":"no"}}`, llm.KindServer},
	} {
		p := embeddings(t, c.status, c.body, nil)
		_, err := p.Embed(t.Context(), &openai.EmbeddingRequest{Model: "m", Texts: []string{"a", "b"}, Size: 2})
		if llm.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	p := embeddings(t, 200, `{}`, func(*http.Request, map[string]any) { t.Error("was sent") })
	for _, r := range []openai.EmbeddingRequest{{Texts: []string{"a"}, Size: 2}, {Model: "m", Size: 2}, {Model: "m", Texts: []string{"a"}}} {
		if _, err := p.Embed(t.Context(), &r); llm.KindOf(err) != llm.KindRequest {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
