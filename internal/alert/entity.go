package alert

import "strings"

// EntityType is one of the fifteen kinds of things an alert can be about.
type EntityType string

// The entity types.
const (
	Account          EntityType = "account"
	Host             EntityType = "host"
	IP               EntityType = "ip"
	File             EntityType = "file"
	Process          EntityType = "process"
	URL              EntityType = "url"
	DNS              EntityType = "dns"
	FileHash         EntityType = "filehash"
	Mailbox          EntityType = "mailbox"
	MailMessage      EntityType = "mailmessage"
	RegistryKey      EntityType = "registry-key"
	RegistryValue    EntityType = "registry-value"
	SecurityGroup    EntityType = "security-group"
	CloudApplication EntityType = "cloud-application"
	Malware          EntityType = "malware"
)

// EntityTypes lists all entity types in the order of the specification.
func EntityTypes() []EntityType {
	return []EntityType{
		Account, Host, IP, File, Process, URL, DNS, FileHash, Mailbox, MailMessage,
		RegistryKey, RegistryValue, SecurityGroup, CloudApplication, Malware,
	}
}

// Valid reports whether t is one of the fifteen.
func (t EntityType) Valid() bool {
	for _, k := range EntityTypes() {
		if t == k {
			return true
		}
	}
	return false
}

// Role says what part an entity played, where the source's field tells.
type Role string

// The roles; most entities have none.
const (
	RoleNone        Role = ""
	RoleSource      Role = "source"
	RoleDestination Role = "destination"
	RoleSubject     Role = "subject" // who acted
	RoleTarget      Role = "target"  // who or what was acted upon
	RoleParent      Role = "parent"
	RoleDevice      Role = "device" // the host where the sensor sits
)

// Entity is one thing an alert is about.
type Entity struct {
	Type EntityType `json:"type"`
	// Value is the primary value, sanitised, never empty.
	Value string `json:"value"`
	Role  Role   `json:"role,omitempty"`
	// Confidence is 1 for an entity the source states, less for one found in text.
	Confidence float64 `json:"confidence"`
	// Properties holds the rest of what the source says, for example "sid" or "geo_country".
	Properties map[string]string `json:"properties,omitempty"`
	// SourceID is the id of the entity in the source's own list.
	SourceID string `json:"source_id,omitempty"`
	// Ref is the JSON pointer of the value in the native record, or of its place in EntitiesRaw.
	Ref string `json:"ref,omitempty"`
	// Principal marks the entities that the fingerprint is made of.
	Principal bool `json:"principal,omitempty"`
}

// Key is the normalised identity of the entity inside one alert: type and folded value.
func (e *Entity) Key() string { return string(e.Type) + "\x00" + FoldValue(e.Type, e.Value) }

// FoldValue brings a value into the form under which values of that type are compared:
// lower case for everything that the systems concerned compare without case.
func FoldValue(t EntityType, v string) string {
	switch t {
	case URL, MailMessage, Malware:
		return v
	default:
		return strings.ToLower(v)
	}
}

// IndicatorType is the kind of an indicator of compromise.
type IndicatorType string

// The indicator types.
const (
	IndicatorIPv4      IndicatorType = "ipv4"
	IndicatorIPv6      IndicatorType = "ipv6"
	IndicatorDomain    IndicatorType = "domain"
	IndicatorURL       IndicatorType = "url"
	IndicatorEmail     IndicatorType = "email"
	IndicatorMD5       IndicatorType = "md5"
	IndicatorSHA1      IndicatorType = "sha1"
	IndicatorSHA256    IndicatorType = "sha256"
	IndicatorCVE       IndicatorType = "cve"
	IndicatorUserAgent IndicatorType = "user_agent"
	IndicatorPath      IndicatorType = "path"
	IndicatorRegistry  IndicatorType = "registry"
)

// Indicator is a value found in an alert that can be looked up elsewhere.
type Indicator struct {
	Type  IndicatorType `json:"type"`
	Value string        `json:"value"`
	// Confidence is that of the extraction, 0 to 1.
	Confidence float64 `json:"confidence"`
	// Benign says why the value must not count as an indicator: a private or reserved address,
	// a well-known service, the hash of nothing. Empty for a countable one.
	Benign string `json:"benign,omitempty"`
	// Refs are the JSON pointers of the fields where the value stands.
	Refs []string `json:"refs,omitempty"`
}

// Entities is what the entity parser made of an alert.
type Entities struct {
	List       []Entity    `json:"entities,omitempty"`
	Indicators []Indicator `json:"indicators,omitempty"`
	// Errors name what could not be parsed, each with its place; they are never fatal.
	Errors []string `json:"errors,omitempty"`
}
