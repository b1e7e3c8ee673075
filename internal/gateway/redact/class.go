package redact

// Class is a kind of personal or internal data.
type Class uint8

// The classes. Their order is part of the stored form of a Map: add at the end.
const (
	User     Class = iota // account names without their domain, and the owner's part of a home directory
	Host                  // names of machines, without their domain
	Domain                // NetBIOS and DNS domains of the organisation; others when the policy says so
	Mail                  // mail addresses and UPNs
	IP                    // private addresses; others when the policy says so
	MAC                   // hardware addresses
	SID                   // security identifiers of accounts, not the well-known ones
	ID                    // ids of devices, tenants, subscriptions and directory objects
	Phone                 // telephone numbers
	Card                  // payment card numbers
	IBAN                  // bank accounts
	National              // national ids: SSN and those with a checksum
	Person                // names of people
	Address               // postal addresses and postal codes
	Date                  // only when the policy says so
	Trait                 // age, title, nationality, place, organisation; only when the policy says so
	Mark                  // text that has the form of a token
	numClasses
)

// prefixes begin the tokens of a class. None ends with another, so a token is recognised from
// its dash alone, whatever stands before it.
var prefixes = [numClasses]string{
	"USER", "HOST", "DOMAIN", "MAIL", "IP", "MAC", "SID", "GUID", "PHONE", "CARD", "IBAN", "NATID",
	"PERSON", "ADDR", "DATE", "TRAIT", "TEXT",
}

// String returns the prefix of the class's tokens.
func (c Class) String() string {
	if c >= numClasses {
		return "UNKNOWN"
	}
	return prefixes[c]
}

// foldsCase says whether values of the class are compared without case.
func (c Class) foldsCase() bool {
	switch c {
	case Address, Date, Trait, Mark:
		return false
	default:
		return true
	}
}

// Set is a set of classes.
type Set uint32

// Classes makes a set.
func Classes(list ...Class) Set {
	var s Set
	for _, c := range list {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in the set.
func (s Set) Has(c Class) bool { return s&(1<<c) != 0 }

// SecretKind says what a removed secret was.
type SecretKind uint8

// The kinds of secrets.
const (
	Password SecretKind = iota
	Token
	CloudKey
	PrivateKey
	Credential // what an Authorization header or a URL carries
	Cookie
	PasswordHash
	numSecrets
)

var secretWords = [numSecrets]string{
	"SECRET_PASSWORD", "SECRET_TOKEN", "SECRET_CLOUD_KEY", "SECRET_PRIVATE_KEY", "SECRET_CREDENTIAL",
	"SECRET_COOKIE", "SECRET_PASSWORD_HASH",
}

// String returns the word that stands in place of the secret.
func (k SecretKind) String() string {
	if k >= numSecrets {
		return "SECRET"
	}
	return secretWords[k]
}
