//go:build !cloud

package cloud

import (
	"errors"
	"strings"
	"testing"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
)

// A program without the drivers says how to get one that has them.
func TestLeanBuild(t *testing.T) {
	_, gcs := OpenGCS(t.Context(), GCS{Bucket: "evidence"}, Config{})
	_, azure := OpenAzure(t.Context(), Azure{Account: "account", Container: "evidence"}, Config{})
	for _, err := range []error{gcs, azure} {
		if !errors.Is(err, contract.ErrUnsupported) || !strings.Contains(err.Error(), "go build -tags cloud") {
			t.Errorf("%v", err)
		}
	}
}
