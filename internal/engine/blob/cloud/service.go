package cloud

import (
	"fmt"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
)

// GCS is a bucket of Google Cloud Storage.
type GCS struct {
	Bucket string
	// CredentialsFile is the key of a service account in JSON, read when the bucket is opened. Empty
	// takes what GOOGLE_APPLICATION_CREDENTIALS names, or the identity of the machine.
	CredentialsFile string
}

// Azure is a container of Azure Blob Storage.
type Azure struct {
	Account, Container string
	// KeyFile holds the key of the account, read when the container is opened. Empty takes
	// AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or the identity of the machine.
	KeyFile string
	// Domain is that of another Azure cloud; empty means blob.core.windows.net. An address of this
	// machine is an emulator.
	Domain string
}

func (s *GCS) check() error {
	if s.Bucket == "" {
		return fmt.Errorf("%w: no bucket is named", contract.ErrInvalid)
	}
	return nil
}

func (s *Azure) check() error {
	if s.Account == "" || s.Container == "" {
		return fmt.Errorf("%w: no account or no container is named", contract.ErrInvalid)
	}
	return nil
}
