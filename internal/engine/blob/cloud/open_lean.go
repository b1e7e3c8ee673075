//go:build !cloud

package cloud

import (
	"context"
	"fmt"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
)

// Open refuses: this build leaves out the drivers of the services, which would make it 32 MB
// larger.
func Open(_ context.Context, address string, _ Config) (*Bucket, error) {
	return nil, fmt.Errorf("%w: %q: this program was built without the tag \"cloud\"", contract.ErrUnsupported, address)
}
