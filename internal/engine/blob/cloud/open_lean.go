//go:build !cloud

package cloud

import (
	"context"
	"fmt"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
)

// errLean says what is missing: the drivers of the services would make the program 32 MB larger.
var errLean = fmt.Errorf("%w: this program was built without cloud stores; build it with: go build -tags cloud ./cmd/aluskort", contract.ErrUnsupported)

// OpenGCS refuses in this build.
func OpenGCS(_ context.Context, s GCS, _ Config) (*Bucket, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return nil, errLean
}

// OpenAzure refuses in this build.
func OpenAzure(_ context.Context, s Azure, _ Config) (*Bucket, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return nil, errLean
}
