// Package alert is the canonical form of a security alert and what it names: the twelve
// canonical fields, severity, entities, indicators, the flattened native record, the
// fingerprint that repeats share and the quality score.
//
// It imports nothing else of ALUSKORT. Values are plain data: safe to read from many
// goroutines, not to be changed once they were handed on.
package alert

import (
	"time"
)

// Alert is one alert in canonical form. The first twelve fields are the canonical ones; the
// rest is what ALUSKORT adds about where the alert came from and when things happened.
type Alert struct {
	// ID is the native id of the alert, unique per tenant and source. Without a native id it
	// is "sha256:" and the hash of the native bytes.
	ID string `json:"alert_id"`
	// Source is the adapter's name, for example "wazuh".
	Source string `json:"source"`
	// Timestamp is the time the source gives the alert, UTC.
	Timestamp time.Time `json:"timestamp"`
	// Title and Description are the source's own words. Attackers may have written parts of them.
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	// Severity is the source's word, mapped by the adapter's table.
	Severity Severity `json:"severity"`
	// Tactics and Techniques are as the source states them; techniques only where they have the
	// form of an ATT&CK or ATLAS id.
	Tactics    []string `json:"tactics,omitempty"`
	Techniques []string `json:"techniques,omitempty"`
	// EntitiesRaw is the source's own list of entities as a JSON text, "[]" when it has none.
	EntitiesRaw string `json:"entities_raw"`
	// Product is the product that raised the alert behind the source.
	Product string `json:"product,omitempty"`
	// TenantID decides isolation. It comes from the credential of the intake, never from the payload.
	TenantID string `json:"tenant_id"`
	// RawPayload holds the native bytes exactly as received. It travels beside the JSON.
	RawPayload []byte `json:"-"`

	// EventStart and EventEnd bound the activity itself; zero when the source does not say.
	EventStart time.Time `json:"event_start,omitzero"`
	EventEnd   time.Time `json:"event_end,omitzero"`
	// IngestedAt is when ALUSKORT accepted the alert.
	IngestedAt time.Time `json:"ingested_at,omitzero"`
	// SourceTenant is the tenant or customer the payload itself names.
	SourceTenant string `json:"source_tenant,omitempty"`
	// Analytic identifies the innermost detection that fired, not its carrier.
	Analytic string `json:"analytic,omitempty"`
	// NativeSeverity is the source's own level or word before mapping.
	NativeSeverity string `json:"native_severity,omitempty"`
	// Discriminator holds the normalised payload values that tell one activity of the same
	// analytic on the same entities from another: command line, target path, signature id.
	Discriminator []string `json:"discriminator,omitempty"`
	// Links are the strong keys that tie this alert to others: process lineage, logon session,
	// remote address, file hash, message, session or token id, cloud access key.
	Links []Link `json:"links,omitempty"`
	// Missing names the canonical or optional fields that the record lacks; each becomes an
	// unknown of the verdict and lowers the quality score.
	Missing []string `json:"missing,omitempty"`
	// Fields is the flattened native record. It travels beside the JSON.
	Fields Fields `json:"-"`
}

// Link is one strong key shared by alerts of the same activity (DESIGN section 6).
type Link struct {
	Kind  LinkKind `json:"kind"`
	Value string   `json:"value"`
	// Ref is the JSON pointer of the value in the native record.
	Ref string `json:"ref,omitempty"`
}

// LinkKind says what a link key is; it decides how much an anchor may lend.
type LinkKind string

// The kinds of link keys.
const (
	LinkProcess LinkKind = "process"
	LinkSession LinkKind = "session"
	LinkSource  LinkKind = "source_address"
	LinkHash    LinkKind = "file_hash"
	LinkMessage LinkKind = "message"
	LinkToken   LinkKind = "token"
	LinkKey     LinkKind = "access_key"
)

// EventTime is when the activity happened: the start of the event, else the timestamp of the
// alert, else the time of ingestion. ok is false when only the time of ingestion was left.
func (a *Alert) EventTime() (t time.Time, ok bool) {
	switch {
	case !a.EventStart.IsZero():
		return a.EventStart, true
	case !a.Timestamp.IsZero():
		return a.Timestamp, true
	default:
		return a.IngestedAt, false
	}
}

// IsTechniqueID reports whether s has the form of an ATT&CK ("T1059", "T1059.001") or ATLAS
// ("AML.T0051", "AML.T0051.000") technique id. Whether the id exists is the taxonomy's to say.
func IsTechniqueID(s string) bool {
	const atlas = "AML."
	if len(s) > len(atlas) && s[:len(atlas)] == atlas {
		s = s[len(atlas):]
	}
	if len(s) != 5 && len(s) != 9 || s[0] != 'T' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if i == 5 {
			if s[i] != '.' {
				return false
			}
			continue
		}
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
