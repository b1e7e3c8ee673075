// Package ingest turns what security products send into canonical alerts: the contract of
// an adapter, the registry of those that exist, detection of the source from content, and
// the reader that finds the records in files, envelopes and streams.
package ingest

import (
	"errors"
	"fmt"

	"github.com/aluskort/aluskort/internal/alert"
)

// Adapter understands the native records of one product. Implementations are stateless and
// safe for concurrent use. Extra abilities are further one-method interfaces found by type
// assertion: Envelope.
type Adapter interface {
	// Descriptor returns the adapter's static data; the same pointer each time.
	Descriptor() *Descriptor
	// Detect says how sure the adapter is, from 0 (not mine) to 100, that the record is its own.
	Detect(f alert.Fields) int
	// Normalise maps one native record. It fills every canonical field except TenantID and
	// IngestedAt, records what is absent in Alert.Missing, and does not change raw.
	// ErrHeartbeat means drop and count; a *RejectError says what is wrong and where.
	Normalise(raw []byte, f alert.Fields) (alert.Alert, error)
}

// Envelope is the extra ability of adapters whose records come wrapped: it names the paths
// under which a wrapper holds an array of records ("value", "hits.hits").
type Envelope interface {
	EnvelopePaths() []string
}

// Descriptor is what the rest of the product needs to know about a source, as data.
type Descriptor struct {
	// Name is the source's name, for example "wazuh".
	Name string
	// Title is the product's name as people write it.
	Title string
	// Entities maps native paths to typed entities.
	Entities []EntityPath
	// Fields maps field names of the Sigma taxonomy to native paths, tried in order.
	Fields map[string][]string
	// Text lists native paths that hold free text, where the indicator scanner looks. A path
	// that ends in ".*" stands for everything below. Empty means every string.
	Text []string
	// Skip lists native paths that the scanner must leave out: they repeat other fields or hold
	// the product's own documentation.
	Skip []string
	// QueryLanguage is the language in which the source is searched: KQL, SPL, ES|QL, Wazuh.
	QueryLanguage string
}

// EntityPath says that the value at Path is an entity.
type EntityPath struct {
	Path string
	Type alert.EntityType
	Role alert.Role
	// Principal entities are part of the fingerprint.
	Principal bool
	// Domain is the path of the part that completes the value: the domain of an account, the
	// directory of a file. Join says how: "\\" for DOMAIN\user, "@" for a UPN, "." for a FQDN.
	Domain string
	Join   string
}

// ErrHeartbeat is returned for records that say only that the source is alive.
var ErrHeartbeat = errors.New("ingest: heartbeat")

// RejectError says why a record cannot become an alert: where, what, and how to mend it.
type RejectError struct {
	Source string // adapter, when one was found
	Place  string // JSON pointer or byte offset
	Reason string
}

// Error implements error.
func (e *RejectError) Error() string {
	if e.Place == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %s", e.Place, e.Reason)
}
