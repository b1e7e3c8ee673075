// Package sentinel adapts alerts of Microsoft Sentinel and of the products behind it: rows of
// the tables SecurityAlert and SecurityIncident as Log Analytics exports them, with Entities
// and ExtendedProperties as JSON text, and the forms of the APIs: SecurityInsights entities,
// Defender for Cloud alerts, Microsoft Graph alerts and Logic Apps triggers.
package sentinel

import (
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Name is the source's name.
const Name = "sentinel"

// Adapter implements ingest.Adapter. It is safe for concurrent use.
type Adapter struct{ flat *alert.Flattener }

// New returns the adapter.
func New() *Adapter { return &Adapter{flat: &alert.Flattener{}} }

// Descriptor implements ingest.Adapter.
func (*Adapter) Descriptor() *ingest.Descriptor { return &descriptor }

// EnvelopePaths implements ingest.Envelope: lists of the REST APIs, and Event Hub messages.
func (*Adapter) EnvelopePaths() []string {
	return []string{"value", "records", "properties.alerts", "object.properties.alerts"}
}

// roots wrap a record, the longest first.
var roots = [...]string{"object.properties", "body.object.properties", "body", "object", "properties"}

// View implements ingest.Viewer: fields stand under the column names of SecurityAlert, and the
// JSON in text columns is taken apart. Pointers of the latter continue into the text.
func (a *Adapter) View(f alert.Fields) alert.Fields {
	f = rename(unwrap(f))
	f = ingest.ExpandJSON(a.flat, f, "Entities", "ExtendedProperties", "Techniques", "SubTechniques", "Tactics", "AlertIds", "RelatedAnalyticRuleIds")
	return ingest.ExpandJSON(a.flat, f, "ExtendedProperties.Custom Details", "ExtendedProperties.Analytic Rule Ids")
}

func unwrap(f alert.Fields) alert.Fields {
	for _, root := range roots {
		if f.Has(root) && (root != "properties" && root != "body" || !f.Has("SystemAlertId")) {
			return ingest.TrimRoot(f, root)
		}
	}
	return f
}

// columns gives the names of the APIs, in lower case, their column of SecurityAlert.
var columns = map[string]string{
	"systemalertid": "SystemAlertId", "alertname": "AlertName", "alertdisplayname": "AlertName", "displayname": "DisplayName",
	"severity": "AlertSeverity", "alertseverity": "AlertSeverity", "description": "Description", "alerttype": "AlertType",
	"timegenerated": "TimeGenerated", "timegeneratedutc": "TimeGenerated", "starttime": "StartTime", "starttimeutc": "StartTime",
	"endtime": "EndTime", "endtimeutc": "EndTime", "processingendtime": "ProcessingEndTime", "entities": "Entities",
	"extendedproperties": "ExtendedProperties", "additionaldata": "ExtendedProperties", "tactics": "Tactics", "intent": "Tactics",
	"techniques": "Techniques", "subtechniques": "SubTechniques", "productname": "ProductName", "vendorname": "VendorName",
	"providername": "ProviderName", "productcomponentname": "ProductComponentName", "provideralertid": "VendorOriginalId",
	"vendororiginalid": "VendorOriginalId", "compromisedentity": "CompromisedEntity", "tenantid": "TenantId", "azuretenantid": "TenantId",
	"alertlink": "AlertLink", "alerturi": "AlertLink", "remediationsteps": "RemediationSteps", "status": "Status", "title": "Title",
	"incidentname": "IncidentName", "incidentnumber": "IncidentNumber", "alertids": "AlertIds", "relatedanalyticruleids": "RelatedAnalyticRuleIds",
	"firstactivitytime": "FirstActivityTime", "firstactivitytimeutc": "FirstActivityTime", "lastactivitytime": "LastActivityTime",
	"lastactivitytimeutc": "LastActivityTime", "createdtime": "CreatedTime", "createdtimeutc": "CreatedTime", "mitretechniques": "Techniques",
	"firstactivitydatetime": "FirstActivityTime", "lastactivitydatetime": "LastActivityTime", "eventdatetime": "StartTime",
	"createddatetime": "TimeGenerated", "workspaceid": "WorkspaceId", "isincident": "IsIncident",
}

// rename brings the first part of each path to its column. Exports write "TimeGenerated [UTC]".
func rename(f alert.Fields) alert.Fields {
	out := make(alert.Fields, len(f))
	copy(out, f)
	for i := range out {
		first, rest, more := strings.Cut(out[i].Path, ".")
		name := strings.TrimSuffix(first, " [UTC]")
		if c, ok := columns[strings.ToLower(name)]; ok {
			name = c
		}
		switch {
		case name == first:
		case more:
			out[i].Path = name + "." + rest
		default:
			out[i].Path = name
		}
	}
	return out
}

// Detect implements ingest.Adapter.
func (a *Adapter) Detect(native alert.Fields) int {
	if native.Has("_source") || native.Has("kibana") {
		return 0
	}
	score := 0
	kind := native.First("type", "object.type", "Type", "@odata.type", "kind")
	switch {
	case strings.HasPrefix(kind, "Microsoft.SecurityInsights/"), strings.HasPrefix(kind, "Microsoft.Security/"),
		strings.HasPrefix(kind, "#microsoft.graph.security."), kind == "SecurityAlert", kind == "SecurityIncident":
		score += 60
	}
	if native.Has("vendorInformation.provider") && native.Has("severity") || native.Has("serviceSource") && native.Has("providerAlertId") {
		score += 60
	}
	f := rename(unwrap(native))
	for _, m := range marks {
		if f.Has(m.path) {
			score += m.score
		}
	}
	if score < 25 {
		return 0
	}
	return min(score, 100)
}

var marks = [...]struct {
	path  string
	score int
}{
	{"SystemAlertId", 50}, {"VendorOriginalId", 15}, {"ProviderName", 10}, {"AlertName", 15}, {"AlertSeverity", 10}, {"AlertType", 10},
	{"CompromisedEntity", 10}, {"ProcessingEndTime", 15}, {"ExtendedProperties", 10}, {"ProductComponentName", 10}, {"IncidentNumber", 15},
	{"IncidentName", 15}, {"ProviderIncidentId", 15}, {"RelatedAnalyticRuleIds", 15}, {"VendorName", 5},
}

// Severity maps the words of AlertSeverity. ok is false for any other.
func Severity(word string) (sev alert.Severity, ok bool) {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "high":
		return alert.High, true
	case "medium":
		return alert.Medium, true
	case "low":
		return alert.Low, true
	case "informational", "information":
		return alert.Informational, true
	case "critical": // not in Microsoft's table, but custom feeds write it
		return alert.Critical, true
	}
	return alert.Medium, false
}

// Normalise implements ingest.Adapter.
func (a *Adapter) Normalise(raw []byte, native alert.Fields) (alert.Alert, error) {
	f := a.View(native)
	incident := isIncident(f)
	title := strings.TrimSpace(f.First("AlertName", "DisplayName", "Title"))
	if ingest.IsHeartbeat(title) {
		return alert.Alert{}, ingest.ErrHeartbeat
	}
	if err := unusable(f, native, title, incident); err != nil {
		return alert.Alert{}, err
	}
	sev, known := Severity(f.Get("AlertSeverity"))
	out := alert.Alert{
		ID:             identity(f, incident),
		Source:         Name,
		Timestamp:      ingest.FirstTime(f, "TimeGenerated", "CreatedTime", "ProcessingEndTime", "LastModifiedTime", "lastModifiedTimeUtc"),
		Title:          title,
		Description:    f.Get("Description"),
		Severity:       sev,
		NativeSeverity: f.Get("AlertSeverity"),
		Tactics:        tactics(f),
		Techniques:     techniques(f),
		EntitiesRaw:    entitiesRaw(raw, native),
		Product:        f.First("ProductName", "vendorInformation.provider", "serviceSource", "ProviderName"),
		SourceTenant:   f.Get("TenantId"),
		EventStart:     ingest.FirstTime(f, "StartTime", "FirstActivityTime"),
		EventEnd:       ingest.FirstTime(f, "EndTime", "LastActivityTime"),
		Analytic:       analytic(f, title, incident),
		Fields:         f,
	}
	g := readGraph(f)
	out.Links = g.links(f)
	out.Discriminator = g.discriminator(f, incident)
	out.Missing = missing(f, title, known, out.Timestamp.IsZero())
	if out.Title == "" {
		out.Title = fallbackTitle(f)
	}
	if ids := f.All("AlertIds"); incident && len(ids) > 0 {
		out.Description = strings.TrimSpace(out.Description + "\nAlerts of the incident: " + strings.Join(ids, ", "))
	}
	return out, nil
}

func isIncident(f alert.Fields) bool {
	return f.Get("SystemAlertId") == "" && (f.Has("IncidentNumber") || f.Has("IncidentName") || f.Has("AlertIds") ||
		strings.Contains(strings.ToLower(f.Get("type")), "/incidents"))
}

// unusable says why the record cannot be an alert.
func unusable(f, native alert.Fields, title string, incident bool) error {
	reject := func(place, reason string) error {
		return &ingest.RejectError{Source: Name, Place: place, Reason: reason}
	}
	switch {
	case incident && title == "":
		return reject("/properties/title", "an incident without a title; send its alerts (SecurityAlert) instead")
	case incident && f.Get("AlertSeverity") == "":
		return reject("/properties/severity", "an incident without a severity; send its alerts (SecurityAlert) instead")
	case incident:
		return nil
	}
	for _, p := range [...]string{"SystemAlertId", "AlertName", "DisplayName", "Title", "AlertType", "VendorOriginalId", "AlertSeverity", "Entities", "ExtendedProperties", "Description"} {
		if f.Has(p) {
			return nil
		}
	}
	return reject("/SystemAlertId", "not a SecurityAlert (keys: "+ingest.TopKeys(native)+"); send rows of SecurityAlert or alerts of the API")
}

func identity(f alert.Fields, incident bool) string {
	if incident {
		return f.First("IncidentName", "name", "id")
	}
	return f.First("SystemAlertId", "name", "id", "VendorOriginalId")
}

func fallbackTitle(f alert.Fields) string {
	if t := f.First("AlertType", "VendorOriginalId", "SystemAlertId"); t != "" {
		return "Sentinel alert " + t
	}
	return "Sentinel alert without a name"
}

func missing(f alert.Fields, title string, severity, noTime bool) []string {
	m := ingest.Lack(nil, "title", title)
	m = ingest.Lack(m, "description", f.Get("Description"))
	if !severity {
		m = append(m, "severity")
	}
	if noTime {
		m = append(m, "timestamp")
	}
	return ingest.Lack(m, "product", f.First("ProductName", "ProviderName", "serviceSource", "vendorInformation.provider"))
}

// values lists the values at a path, whether it holds one text, a list, or JSON as text.
func values(f alert.Fields, paths ...string) []string {
	var out []string
	for _, p := range paths {
		out = append(out, f.All(p)...)
	}
	return out
}

func tactics(f alert.Fields) []string {
	return ingest.Tactics(values(f, "Tactics", "additionalData.tactics", "ExtendedProperties.tactics")...)
}

func techniques(f alert.Fields) []string {
	return ingest.Techniques(values(f, "Techniques", "SubTechniques", "ExtendedProperties.MitreTechniques", "ExtendedProperties.mitreTechniques",
		"ExtendedProperties.techniques", "ExtendedProperties.Techniques", "ExtendedProperties.subTechniques", "additionalData.techniques")...)
}

// entitiesRaw is the source's list as it is: the text of the column, or the array of the API.
func entitiesRaw(raw []byte, native alert.Fields) string {
	for i := range native {
		path := native[i].Path
		if native[i].Kind == alert.KindString && isEntities(path) {
			if v := strings.TrimSpace(native[i].Value); v != "" {
				return v
			}
			break
		}
	}
	for _, keys := range [...][]string{
		{"Entities"}, {"entities"}, {"properties", "entities"}, {"properties", "Entities"}, {"object", "properties", "entities"}, {"body", "Entities"},
		{"object", "properties", "relatedEntities"}, {"properties", "relatedEntities"}, {"object", "entities"},
	} {
		if !native.Has(strings.Join(keys, ".")) {
			continue
		}
		if v := ingest.RawAt(raw, keys...); len(v) > 0 && v[0] == '[' {
			return string(v)
		}
	}
	return "[]"
}

func isEntities(path string) bool {
	switch path {
	case "Entities", "entities", "properties.entities", "properties.Entities", "object.properties.entities", "body.Entities", "object.Entities":
		return true
	}
	return false
}
