package fp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

// Limits of a definition. They bound the work of one match and the memory of one pattern.
const (
	MaxNames         = 50
	MaxAnalytics     = 200
	MaxEntities      = 20
	MaxPayload       = 20
	MaxText          = 512  // bytes of one value
	MaxJustification = 4000 // bytes
	minJustification = 10
	minLiteral       = 3 // characters of a glob or prefix that are no wildcard
	minNameStart     = 8 // of a name that stands without an analytic: its beginning decides what is looked at
	minBits4         = 16
	minBits6         = 48
)

// Check says whether a definition may be proposed. Malformed ones give an error that wraps
// ErrInvalid and names the place; well-formed ones that must not become a pattern a
// *RefusedError with every reason.
func (d *Definition) Check() error {
	if err := d.valid(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var list []Refusal
	if d.Scope == (Scope{}) && len(d.Analytics) == 0 {
		list = append(list, Refusal{RefusedUnscoped,
			"it is bound to no detection and no class of asset: give analytics, scope.rule_family or scope.asset_class"})
	}
	if !d.anchored() {
		list = append(list, Refusal{RefusedAttackerWritable,
			"whoever causes the alert can write everything it asks for: add a condition on the host, an address of a network of at most /16 (IPv6 /48), a signer or another value that the sensor writes, or an asset class"})
	}
	for i, e := range d.Entities {
		if why := tooWide(e); why != "" {
			list = append(list, Refusal{RefusedTooWide, fmt.Sprintf("entities[%d]: %s", i, why)})
		}
	}
	for i, n := range d.AlertNames {
		if len(d.Analytics) == 0 && literalStart(n) < minNameStart && n.Op != Equals {
			list = append(list, Refusal{RefusedTooWide,
				fmt.Sprintf("alert_names[%d]: without analytics a name begins with at least %d fixed characters", i, minNameStart)})
		}
	}
	for i, c := range d.Payload {
		if c.Op != Equals && literals(c.Text) < minLiteral {
			list = append(list, Refusal{RefusedTooWide, fmt.Sprintf("payload[%d]: needs at least %d fixed characters", i, minLiteral)})
		}
	}
	return refuse(d.Name, list)
}

func (d *Definition) valid() error {
	for _, f := range []struct{ name, value string }{{"name", d.Name}, {"tenant", d.Tenant}, {"justification", d.Justification}} {
		if strings.TrimSpace(f.value) == "" {
			return fmt.Errorf("%s is missing", f.name)
		}
	}
	if n := len(strings.TrimSpace(d.Justification)); n < minJustification || n > MaxJustification {
		return fmt.Errorf("justification has %d bytes; say in %d to %d why this is known to be harmless", n, minJustification, MaxJustification)
	}
	if !utf8.ValidString(d.Justification) {
		return errors.New("justification is not UTF-8")
	}
	if !(d.Threshold >= DefaultThreshold && d.Threshold <= 1) {
		return fmt.Errorf("threshold is %v; it lies between %.2f and 1", d.Threshold, DefaultThreshold)
	}
	for _, f := range []struct{ name, value string }{
		{"name", d.Name}, {"tenant", d.Tenant}, {"scope.rule_family", d.Scope.RuleFamily}, {"scope.asset_class", d.Scope.AssetClass},
	} {
		if err := plain(f.value); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return d.validConditions()
}

func (d *Definition) validConditions() error {
	if len(d.AlertNames) == 0 && len(d.Analytics) == 0 {
		return errors.New("alert_names and analytics are both missing: say which alerts are meant")
	}
	for _, f := range []struct {
		name   string
		n, max int
	}{
		{"alert_names", len(d.AlertNames), MaxNames}, {"analytics", len(d.Analytics), MaxAnalytics},
		{"entities", len(d.Entities), MaxEntities}, {"payload", len(d.Payload), MaxPayload},
	} {
		if f.n > f.max {
			return fmt.Errorf("%s has %d entries; at most %d are allowed: split the pattern", f.name, f.n, f.max)
		}
	}
	for i, t := range d.AlertNames {
		if err := t.valid(Equals, Prefix, Glob); err != nil {
			return fmt.Errorf("alert_names[%d]: %w", i, err)
		}
	}
	for i, a := range d.Analytics {
		if err := (Text{Equals, a}).valid(Equals); err != nil {
			return fmt.Errorf("analytics[%d]: %w", i, err)
		}
	}
	for i, e := range d.Entities {
		if !e.Type.Valid() {
			return fmt.Errorf("entities[%d]: type %q is none of %v", i, e.Type, alert.EntityTypes())
		}
		if !slices.Contains(roles, e.Role) {
			return fmt.Errorf("entities[%d]: role %q is none of %v", i, e.Role, roles[1:])
		}
		if err := e.valid(Equals, Prefix, Glob, CIDR); err != nil {
			return fmt.Errorf("entities[%d]: %w", i, err)
		}
		if e.Op == CIDR && e.Type != alert.IP {
			return fmt.Errorf("entities[%d]: cidr is for type ip, not %s", i, e.Type)
		}
	}
	for i, c := range d.Payload {
		if err := (Text{Equals, c.Path}).valid(Equals); err != nil {
			return fmt.Errorf("payload[%d].path: %w", i, err)
		}
		if err := c.valid(Equals, Prefix, Glob); err != nil {
			return fmt.Errorf("payload[%d]: %w", i, err)
		}
	}
	return nil
}

var roles = []alert.Role{alert.RoleNone, alert.RoleSource, alert.RoleDestination, alert.RoleSubject, alert.RoleTarget, alert.RoleParent, alert.RoleDevice}

func (t Text) valid(allowed ...Op) error {
	if !slices.Contains(allowed, t.Op) {
		return fmt.Errorf("comparison %q is none of %v", t.Op, allowed)
	}
	if strings.TrimSpace(t.Value) == "" {
		return errors.New("the value is empty")
	}
	if err := plain(t.Value); err != nil {
		return err
	}
	if t.Op == CIDR {
		if _, err := netip.ParsePrefix(t.Value); err != nil {
			return fmt.Errorf("%q is not a network such as 192.0.2.0/24", t.Value)
		}
	}
	return nil
}

// plain refuses text that does not look like what it is.
func plain(s string) error {
	if len(s) > MaxText {
		return fmt.Errorf("%d bytes; at most %d are allowed", len(s), MaxText)
	}
	if !utf8.ValidString(s) {
		return errors.New("not UTF-8")
	}
	if i := strings.IndexFunc(s, hidden); i >= 0 {
		return fmt.Errorf("invisible character at byte %d", i)
	}
	return nil
}

func literals(t Text) int {
	if t.Op != Glob {
		return utf8.RuneCountInString(t.Value)
	}
	n := 0
	for _, r := range t.Value {
		if r != '*' && r != '?' {
			n++
		}
	}
	return n
}

// literalStart counts the fixed characters at the beginning.
func literalStart(t Text) int {
	if t.Op != Glob {
		return utf8.RuneCountInString(t.Value)
	}
	if i := strings.IndexAny(t.Value, "*?"); i >= 0 {
		return utf8.RuneCountInString(t.Value[:i])
	}
	return utf8.RuneCountInString(t.Value)
}

func tooWide(e EntityCondition) string {
	switch e.Op {
	case CIDR:
		p, err := netip.ParsePrefix(e.Value)
		if err != nil || wideNetwork(p) {
			return fmt.Sprintf("%s is wider than /%d (IPv6 /%d)", e.Value, minBits4, minBits6)
		}
	case Prefix, Glob:
		if literals(e.Text) < minLiteral {
			return fmt.Sprintf("%q has fewer than %d fixed characters", e.Value, minLiteral)
		}
	}
	return ""
}

func wideNetwork(p netip.Prefix) bool {
	if p.Addr().Unmap().Is4() {
		bits := p.Bits()
		if p.Addr().Is4In6() {
			bits -= 96
		}
		return bits < minBits4
	}
	return p.Bits() < minBits6
}

// anchored reports whether something is asked for that the cause of an alert cannot write.
// The title and the analytic do not count: what somebody does decides which detection fires.
func (d *Definition) anchored() bool {
	if d.Scope.AssetClass != "" {
		return true
	}
	// Conditions that a match may miss anchor nothing.
	return d.anchors() > allowedMisses(len(d.Entities), micro(d.Threshold)) || d.payloadAnchor()
}

func (d *Definition) anchors() (n int) {
	for _, e := range d.Entities {
		switch {
		case tooWide(e) != "":
		case e.Type == alert.IP, e.Type == alert.Host && e.Role != alert.RoleSource:
			n++
		}
	}
	return n
}

func (d *Definition) payloadAnchor() bool {
	for _, c := range d.Payload {
		if sensorWritten(c) {
			return true
		}
	}
	return false
}

// sensorPaths end paths of values that the sensor, the operating system or the platform writes.
var sensorPaths = []string{
	"agent.id", "agent.name", "host.id", "host.name", "host.hostname", "observer.name", "computer", "deviceid", "machineid",
	"code_signature.subject_name", "code_signature.status", "code_signature.trusted", "signaturestatus", "signature_status",
	"useridentity.accountid", "cloud.account.id", "subscriptionid", "integritylevel", "ruleset.name",
}

// parentPaths end paths of the program that started what happened; such a value counts when it
// lies where only administrators write.
var parentPaths = []string{"parentimage", "parentprocessname", "process.parent.executable", "parentprocesspath"}

var adminDirs = []string{`c:\windows\`, `c:\program files\`, `c:\program files (x86)\`, "/usr/", "/bin/", "/sbin/", "/lib/", "/opt/"}

// shared folders below the system's own where anybody may write.
var sharedDirs = []string{`c:\windows\temp\`, `c:\windows\tasks\`, `c:\windows\tracing\`, `c:\windows\system32\spool\drivers\color\`, "/usr/tmp/"}

func sensorWritten(c PayloadCondition) bool {
	if literals(c.Text) < minLiteral && c.Op != Equals {
		return false
	}
	path, value := strings.ToLower(c.Path), strings.ToLower(c.Value)
	ends := func(s string) bool { return path == s || strings.HasSuffix(path, "."+s) }
	if slices.ContainsFunc(sensorPaths, ends) {
		return true
	}
	fixed := value[:min(len(value), literalBytes(c.Text))]
	under := func(dir string) bool { return strings.HasPrefix(fixed, dir) }
	// A value that is open at its end must not reach into a shared folder either.
	shared := func(dir string) bool { return under(dir) || c.Op != Equals && strings.HasPrefix(dir, fixed) }
	return slices.ContainsFunc(parentPaths, ends) && slices.ContainsFunc(adminDirs, under) &&
		!slices.ContainsFunc(sharedDirs, shared) && !strings.Contains(value, "..")
}

func literalBytes(t Text) int {
	if i := strings.IndexAny(t.Value, "*?"); t.Op == Glob && i >= 0 {
		return i
	}
	return len(t.Value)
}
