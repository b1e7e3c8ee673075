package sigma

import (
	"slices"
	"strings"
)

// origin is what is known about where an event comes from. Empty parts are unknown and prune
// nothing.
type origin struct {
	product    string
	services   []string
	categories []string
	// closed says that categories is complete: an event of none of them has no category.
	closed bool
}

// allows reports whether a rule for that log source may apply to the event.
func (o *origin) allows(ls Logsource) bool {
	if ls.Product != "" && o.product != "" && ls.Product != o.product {
		return false
	}
	if ls.Service != "" && len(o.services) > 0 && !slices.Contains(o.services, ls.Service) {
		return false
	}
	if ls.Category == "" || !o.closed && len(o.categories) == 0 {
		return true
	}
	return slices.Contains(o.categories, ls.Category)
}

// originFields are what log sources are derived from: first fields of the taxonomy, which the
// source's field map translates, then native paths that name a data set or a system. A set
// numbers them first, so their positions here are their ids.
var originFields = []string{
	"Channel", "EventID", "Provider_Name",
	"event.dataset", "data_stream.dataset", "sourcetype", "decoder.name", "event.module",
	"_source.event.dataset", "_source.decoder.name", "_source.event.module", "Type", "TableName",
	"host.os.type", "host.os.family", "_source.host.os.type",
}

const (
	originChannel int32 = iota
	originEventID
	originProvider
	originDataset
	originSystem = 13
	originEnd    = 16
)

// derive works out the origin from a channel or a data set; get returns the first value of one
// of originFields. A stated log source, as the adapter may give it, goes first part by part.
func derive(stated Logsource, get func(id int32) string) origin {
	o := deriveWindows(get)
	if o.product == "" {
		o = deriveDataset(get)
	}
	if o.product == "" {
		for f := int32(originSystem); f < originEnd; f++ {
			if p, ok := lookUp(systems, get(f)); ok {
				o.product = p
				break
			}
		}
	}
	if stated.Product != "" {
		o.product = strings.ToLower(stated.Product)
	}
	if stated.Service != "" {
		o.services = []string{strings.ToLower(stated.Service)}
	}
	if stated.Category != "" {
		o.categories, o.closed = withImplied(strings.ToLower(stated.Category)), true
	}
	return o
}

var systems = map[string]string{"windows": "windows", "linux": "linux", "macos": "macos", "darwin": "macos"}

// implied lists the wider categories that a narrower one belongs to.
var implied = map[string][]string{
	"registry_add": {"registry_event"}, "registry_set": {"registry_event"},
	"registry_delete": {"registry_event"}, "registry_rename": {"registry_event"},
}

func withImplied(category string) []string {
	return append([]string{category}, implied[category]...)
}

func deriveWindows(get func(int32) string) origin {
	name := get(originChannel)
	for _, prefix := range [...]string{"XmlWinEventLog:", "WinEventLog:"} {
		name = strings.TrimPrefix(name, prefix)
	}
	c, known := lookUp(channels, name)
	if name == "" {
		c, known = lookUp(providers, get(originProvider))
	}
	if !known {
		if name == "" {
			return origin{}
		}
		return origin{product: "windows"}
	}
	id := get(originEventID)
	o := origin{product: c.product, services: c.services, closed: id != ""}
	if c.categories != nil {
		o.categories = c.categories[id]
	}
	return o
}

// lookUp finds a name in a table with lower-case keys, without allocating.
func lookUp[V any](table map[string]V, name string) (v V, ok bool) {
	var buf [128]byte
	if name == "" || len(name) > len(buf) {
		return v, false
	}
	for i := range len(name) {
		buf[i] = foldTable[name[i]]
	}
	v, ok = table[string(buf[:len(name)])]
	return v, ok
}

type channelInfo struct {
	product    string
	services   []string
	categories map[string][]string
}

// providers name the channel where the event leaves it out.
var providers = func() map[string]channelInfo {
	m := make(map[string]channelInfo)
	for provider, channel := range map[string]string{
		"microsoft-windows-sysmon":            "microsoft-windows-sysmon/operational",
		"linux-sysmon":                        "linux-sysmon/operational",
		"microsoft-windows-security-auditing": "security",
		"service control manager":             "system",
		"microsoft-windows-powershell":        "microsoft-windows-powershell/operational",
		"powershellcore":                      "powershellcore/operational",
		"powershell":                          "windows powershell",
		"microsoft-windows-windows defender":  "microsoft-windows-windows defender/operational",
		"microsoft-windows-taskscheduler":     "microsoft-windows-taskscheduler/operational",
		"microsoft-windows-wmi-activity":      "microsoft-windows-wmi-activity/operational",
		"microsoft-windows-bits-client":       "microsoft-windows-bits-client/operational",
	} {
		m[provider] = channels[channel]
	}
	return m
}()

// sysmonCategories are the categories of Sysmon's event ids.
var sysmonCategories = map[string][]string{
	"1": {"process_creation"}, "2": {"file_change"}, "3": {"network_connection"},
	"4": {"sysmon_status"}, "5": {"process_termination"}, "6": {"driver_load"}, "7": {"image_load"},
	"8": {"create_remote_thread"}, "9": {"raw_access_thread", "raw_access_read"}, "10": {"process_access"},
	"11": {"file_event"}, "12": {"registry_add", "registry_delete", "registry_event"},
	"13": {"registry_set", "registry_event"}, "14": {"registry_rename", "registry_event"},
	"15": {"create_stream_hash"}, "16": {"sysmon_status"}, "17": {"pipe_created"}, "18": {"pipe_created"},
	"19": {"wmi_event"}, "20": {"wmi_event"}, "21": {"wmi_event"}, "22": {"dns_query", "dns"},
	"23": {"file_delete"}, "24": {"clipboard_capture", "clipboard_change"}, "25": {"process_tampering"},
	"26": {"file_delete", "file_delete_detected"}, "27": {"file_block_executable", "file_block"},
	"28": {"file_block_shredding"}, "29": {"file_executable_detected"}, "255": {"sysmon_error"},
}

var powershellCategories = map[string][]string{"4103": {"ps_module"}, "4104": {"ps_script"}}

// channels are the Windows event logs by lower-cased name, with the services of the taxonomy.
var channels = func() map[string]channelInfo {
	m := make(map[string]channelInfo)
	for name, service := range channelServices {
		m[name] = channelInfo{product: "windows", services: []string{service}}
	}
	add := func(name, service string, categories map[string][]string) {
		m[name] = channelInfo{"windows", []string{service}, categories}
	}
	m["linux-sysmon/operational"] = channelInfo{"linux", []string{"sysmon"}, sysmonCategories}
	add("microsoft-windows-sysmon/operational", "sysmon", sysmonCategories)
	add("security", "security", map[string][]string{
		"4688": {"process_creation"}, "4689": {"process_termination"}, "4657": {"registry_set", "registry_event"},
		"5156": {"network_connection", "firewall"}, "5157": {"firewall"},
	})
	add("microsoft-windows-powershell/operational", "powershell", powershellCategories)
	add("powershellcore/operational", "powershell", powershellCategories)
	add("windows powershell", "powershell-classic", map[string][]string{
		"400": {"ps_classic_start"}, "600": {"ps_classic_provider_start"}, "800": {"ps_classic_script"},
	})
	add("microsoft-windows-windows defender/operational", "windefend", map[string][]string{
		"1006": {"antivirus"}, "1007": {"antivirus"}, "1015": {"antivirus"}, "1116": {"antivirus"}, "1117": {"antivirus"},
	})
	return m
}()

var channelServices = map[string]string{
	"application": "application", "system": "system", "dns server": "dns-server",
	"microsoft-windows-application-experience/program-telemetry":               "application-experience",
	"microsoft-windows-applocker/msi and script":                               "applocker",
	"microsoft-windows-applocker/exe and dll":                                  "applocker",
	"microsoft-windows-applocker/packaged app-deployment":                      "applocker",
	"microsoft-windows-applocker/packaged app-execution":                       "applocker",
	"microsoft-windows-appmodel-runtime/admin":                                 "appmodel-runtime",
	"microsoft-windows-appxdeploymentserver/operational":                       "appxdeployment-server",
	"microsoft-windows-appxpackaging/operational":                              "appxpackaging-om",
	"microsoft-windows-bitlocker/bitlocker management":                         "bitlocker",
	"microsoft-windows-bits-client/operational":                                "bits-client",
	"microsoft-windows-capi2/operational":                                      "capi2",
	"microsoft-windows-certificateservicesclient-lifecycle-system/operational": "certificateservicesclient-lifecycle-system",
	"microsoft-windows-codeintegrity/operational":                              "codeintegrity-operational",
	"microsoft-windows-dhcp-server/operational":                                "dhcp",
	"microsoft-windows-diagnosis-scripted/operational":                         "diagnosis-scripted",
	"microsoft-windows-dns client events/operational":                          "dns-client",
	"microsoft-windows-dns-server/analytical":                                  "dns-server-analytic",
	"microsoft-windows-dns-server/audit":                                       "dns-server-audit",
	"microsoft-windows-driverframeworks-usermode/operational":                  "driver-framework",
	"microsoft-windows-windows firewall with advanced security/firewall":       "firewall-as",
	"microsoft-windows-hyper-v-worker":                                         "hyper-v-worker",
	"microsoft-iis-configuration/operational":                                  "iis-configuration",
	"microsoft-windows-kernel-eventtracing":                                    "kernel-event-tracing",
	"microsoft-windows-kernel-shimengine/operational":                          "kernel-shimengine",
	"microsoft-windows-ldap-client/debug":                                      "ldap",
	"microsoft-windows-lsa/operational":                                        "lsa-server",
	"msexchange management":                                                    "msexchange-management",
	"microsoft-windows-ntfs/operational":                                       "ntfs",
	"microsoft-windows-ntlm/operational":                                       "ntlm",
	"openssh/operational":                                                      "openssh",
	"microsoft-windows-printservice/admin":                                     "printservice-admin",
	"microsoft-windows-printservice/operational":                               "printservice-operational",
	"microsoft-windows-security-mitigations/kernel mode":                       "security-mitigations",
	"microsoft-windows-security-mitigations/user mode":                         "security-mitigations",
	"microsoft-windows-sense/operational":                                      "sense",
	"microsoft-servicebus-client/operational":                                  "servicebus-client",
	"microsoft-servicebus-client/admin":                                        "servicebus-client",
	"microsoft-windows-shell-core/operational":                                 "shell-core",
	"microsoft-windows-smbclient/security":                                     "smbclient-security",
	"microsoft-windows-smbclient/connectivity":                                 "smbclient-connectivity",
	"microsoft-windows-smbserver/security":                                     "smbserver-security",
	"microsoft-windows-taskscheduler/operational":                              "taskscheduler",
	"microsoft-windows-terminalservices-localsessionmanager/operational":       "terminalservices-localsessionmanager",
	"microsoft-windows-vhdmp/operational":                                      "vhdmp",
	"microsoft-windows-vhdmp-operational":                                      "vhdmp",
	"microsoft-windows-wmi-activity/operational":                               "wmi",
	"microsoft-windows-terminalservices-remoteconnectionmanager/operational":   "terminalservices-remoteconnectionmanager",
	"microsoft-windows-windows defender/whc":                                   "windefend",
	"microsoft-windows-application-experience/program-compatibility-assistant": "application-experience",
	"winrm operational":                                                        "winrm",
	"microsoft-windows-winrm/operational":                                      "winrm",
	"microsoft-windows-kernel-shimengine/diagnostic":                           "kernel-shimengine",
}

func deriveDataset(get func(int32) string) origin {
	for f := originDataset; f < originSystem; f++ {
		v := get(f)
		if v == "" {
			continue
		}
		if o, ok := lookUp(datasets, v); ok {
			return o
		}
		for _, p := range datasetPrefixes {
			if len(v) >= len(p.prefix) && strings.EqualFold(v[:len(p.prefix)], p.prefix) {
				return p.origin
			}
		}
	}
	return origin{}
}

func linuxLog(services ...string) origin { return origin{product: "linux", services: services} }

// datasets are data sets as products name them: ECS, Splunk source types, Wazuh decoders,
// tables of Microsoft Sentinel. An origin without closed leaves the category open.
var datasets = map[string]origin{
	"aws.cloudtrail": {product: "aws", services: []string{"cloudtrail"}}, "aws:cloudtrail": {product: "aws", services: []string{"cloudtrail"}},
	"aws-cloudtrail": {product: "aws", services: []string{"cloudtrail"}}, "awscloudtrail": {product: "aws", services: []string{"cloudtrail"}},
	"azure.signinlogs":         {product: "azure", services: []string{"signinlogs"}},
	"signinlogs":               {product: "azure", services: []string{"signinlogs"}},
	"azure.auditlogs":          {product: "azure", services: []string{"auditlogs"}},
	"auditlogs":                {product: "azure", services: []string{"auditlogs"}},
	"azure.activitylogs":       {product: "azure", services: []string{"activitylogs"}},
	"azureactivity":            {product: "azure", services: []string{"activitylogs"}},
	"gcp.audit":                {product: "gcp", services: []string{"gcp.audit"}},
	"okta.system":              {product: "okta", services: []string{"okta"}},
	"okta:im2:log":             {product: "okta", services: []string{"okta"}},
	"okta:log":                 {product: "okta", services: []string{"okta"}},
	"o365.audit":               {product: "m365"},
	"o365:management:activity": {product: "m365"},
	"officeactivity":           {product: "m365"},
	"office365":                {product: "m365"},
	"github.audit":             {product: "github", services: []string{"audit"}},
	"cisco_duo.auth":           {product: "cisco", services: []string{"duo"}},
	"kubernetes.audit_logs":    {product: "kubernetes", services: []string{"audit"}},
	"auditd.log":               linuxLog("auditd"), "auditd": linuxLog("auditd"), "linux:audit": linuxLog("auditd"),
	"auditd_manager.auditd": linuxLog("auditd"),
	"system.auth":           linuxLog("auth", "sshd", "sudo", "syslog"), "linux_secure": linuxLog("auth", "sshd", "sudo", "syslog"),
	"system.syslog": linuxLog("syslog", "cron"),
	"sshd":          linuxLog("sshd", "auth", "syslog"), "sudo": linuxLog("sudo", "auth", "syslog"),
	"pam": linuxLog("auth", "sshd", "sudo", "syslog"), "su": linuxLog("auth", "syslog"),
	"crond": linuxLog("cron", "syslog"), "vsftpd": linuxLog("vsftpd", "syslog"),
	"windows_eventchannel": {product: "windows"}, "windows": {product: "windows"},
	"apache.access": webserver, "nginx.access": webserver, "iis.access": webserver, "access_combined": webserver,
	"ms:iis:auto": webserver, "web-accesslog": webserver, "w3ciislog": webserver,
	"squid.log": proxy, "zscaler_zia.web": proxy, "bluecoat:proxysg:access:syslog": proxy,
	"zeek.dns": zeek("dns", "dns"), "zeek.http": zeek("http", "proxy", "webserver"), "zeek.smb_files": zeek("smb_files"),
	"zeek.dce_rpc": zeek("dce_rpc"), "zeek.kerberos": zeek("kerberos"), "zeek.rdp": zeek("rdp"), "zeek.x509": zeek("x509"),
	"bro:dns:json": zeek("dns", "dns"), "bro:http:json": zeek("http", "proxy", "webserver"),
	"endpoint.events.process":  {categories: []string{"process_creation", "process_termination"}, closed: true},
	"endpoint.events.file":     {categories: []string{"file_event", "file_delete", "file_rename", "file_change"}, closed: true},
	"endpoint.events.registry": {categories: []string{"registry_event", "registry_set", "registry_add", "registry_delete"}, closed: true},
	"endpoint.events.library":  {categories: []string{"image_load", "driver_load"}, closed: true},
	"endpoint.events.network":  {categories: []string{"network_connection", "dns_query", "dns"}, closed: true},
}

var (
	webserver = origin{categories: []string{"webserver"}, closed: true}
	proxy     = origin{categories: []string{"proxy"}, closed: true}
)

func zeek(service string, categories ...string) origin {
	return origin{product: "zeek", services: []string{service}, categories: categories}
}

// datasetPrefixes are families of data sets whose members share a product.
var datasetPrefixes = []struct {
	prefix string
	origin origin
}{
	{"google_workspace.", origin{product: "gcp", services: []string{"google_workspace.admin"}}},
	{"google:gcp:", origin{product: "gcp"}},
	{"xmlwineventlog", origin{product: "windows"}},
	{"wineventlog", origin{product: "windows"}},
}
