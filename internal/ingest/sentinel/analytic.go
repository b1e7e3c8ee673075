package sentinel

import (
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// carriers are the alert types under which a provider files all its detections: there the
// name of the alert identifies the detection.
var carriers = []string{
	"windowsdefenderatp", "windowsdefenderav", "windowsdefendersmartscreen", "mtp", "customdetection", "customerti", "antivirus",
	"securityalert", "alert", "microsoftthreatprotection", "officeatp", "thirdpartysensors", "microsoftdefenderforendpoint", "antimalware",
}

// analytic identifies the detection: for scheduled and near-real-time rules AlertType, which
// holds the rule's id; the rule's own id in the API forms; otherwise the provider's type, or
// the name where the type only carries.
func analytic(f alert.Fields, title string, incident bool) string {
	kind := f.Get("AlertType")
	provider := strings.ToLower(f.First("ProviderName", "vendorInformation.provider", "serviceSource", "ProductName", "VendorName"))
	switch {
	case incident:
		if ids := f.All("RelatedAnalyticRuleIds"); len(ids) > 0 {
			slices.Sort(ids)
			return "incident:" + strings.Join(slices.Compact(ids), ",")
		}
		return "incident:" + ingest.NormaliseText(title)
	case strings.Contains(provider, "scheduled alerts") || strings.Contains(provider, "nrt alerts"):
		if id := f.First("AlertType", "ExtendedProperties.Analytic Rule Ids", "ExtendedProperties.AnalyticRuleId"); id != "" {
			return "rule:" + strings.ToLower(id)
		}
	case kind == "" || slices.Contains(carriers, strings.ToLower(kind)):
		if id := f.First("ExtendedProperties.Analytic Rule Ids", "alertPolicyId"); kind == "" && id != "" {
			return "rule:" + strings.ToLower(id)
		}
		kind = ingest.NormaliseText(title)
	}
	switch {
	case kind == "":
		return ""
	case provider == "":
		return kind
	}
	return provider + ":" + kind
}
