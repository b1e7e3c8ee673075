package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aluskort/aluskort/internal/clock"
)

// A client that gives up and asks again with the same key gets the answer of what it began, however
// its first request ended.
func TestAKeyedDecisionOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &API{keys: newAnswers(clock.System{})}
		release := make(chan struct{})
		handle := a.once(func(r *http.Request) (any, error) {
			<-release
			return map[string]string{"state": "closed"}, r.Context().Err()
		})
		request := func(ctx context.Context) *http.Request {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/investigations/i/feedback", strings.NewReader(`{}`))
			r.Header.Set("Idempotency-Key", "k1")
			return r
		}
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			if err := handle(httptest.NewRecorder(), request(ctx)); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}()
		synctest.Wait()
		leave()
		again := httptest.NewRecorder()
		go func() {
			if err := handle(again, request(t.Context())); err != nil {
				t.Errorf("the second request is answered %v", err)
			}
		}()
		synctest.Wait()
		close(release)
		synctest.Wait()
		if again.Code != http.StatusOK || again.Header().Get("Idempotency-Replayed") != "true" || !strings.Contains(again.Body.String(), "closed") {
			t.Errorf("%d %s", again.Code, again.Body)
		}
	})
}
