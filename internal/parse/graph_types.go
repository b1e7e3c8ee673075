package parse

import (
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// builders turn an object of the graph into an entity, by the type it states, without case
// and dashes.
var builders = map[string]func(*graph, int32){
	"account":          (*graph).account,
	"host":             (*graph).host,
	"ip":               (*graph).ip,
	"ipaddress":        (*graph).ip,
	"file":             (*graph).file,
	"process":          (*graph).process,
	"url":              (*graph).url,
	"dns":              (*graph).dns,
	"dnsresolution":    (*graph).dns,
	"filehash":         (*graph).fileHash,
	"mailbox":          (*graph).mailbox,
	"mailmessage":      (*graph).mailMessage,
	"registrykey":      (*graph).registryKey,
	"registryvalue":    (*graph).registryValue,
	"securitygroup":    (*graph).securityGroup,
	"cloudapplication": (*graph).cloudApplication,
	"malware":          (*graph).malware,
}

// otherTypes are known and have no place among the fifteen; they are no errors.
var otherTypes = set(`mailcluster cloudlogonsession cloudlogonrequest oauthapplication azureresource
	iotdevice submissionmail networkconnection hostlogonsession amazonresource googlecloudresource
	container containerimage containerregistry kubernetescluster kubernetesnamespace kubernetespod
	kubernetescontroller kubernetesservice kubernetesserviceaccount kubernetessecret blob
	blobcontainer storageblob storageaccount nic device generic bookmark activedirectorydomain
	location geolocation activity browserextension gitrepository serviceprincipal
	aiagent teammessage teamsmessage cloudresource sqldatabase networkinterface subnet
	securityalert sentinelentities maliciousapp`)

func (g *graph) account(id int32) {
	name := g.text(id, names, "Name", "AccountName")
	suffix := g.text(id, plainText, "UPNSuffix")
	domain := g.text(id, plainText, "NTDomain")
	aad := g.text(id, plainText, "AadUserId")
	if before, after, ok := strings.Cut(name, `\`); ok && after != "" {
		name = after
		if domain == "" {
			domain = before
		}
	}
	upn := g.text(id, plainText, "UserPrincipalName", "Upn")
	sid := g.text(id, plainText, "Sid")
	var value string
	confidence := 1.0
	switch {
	case name != "" && suffix != "" && !strings.Contains(name, "@"):
		value = name + "@" + suffix
	case name != "" && suffix != "":
		value = name
	case aad != "":
		value = aad
	case name != "":
		value = name
	default:
		// Less than the rules ask for, still a person: kept with less confidence.
		g.missing(id, "account without name, suffix and directory id")
		confidence = 0.9
		if value = upn; value == "" {
			value = sid
		}
	}
	if value == "" {
		return
	}
	e := g.entity(id, alert.Account, value)
	e.Confidence = confidence
	p := props{&e}
	p.set("name", name)
	p.set("upn_suffix", suffix)
	p.set("aad_user_id", aad)
	p.set("sid", sid)
	p.set("nt_domain", domain)
	if domain != "" && name != "" {
		p.set("nt_name", domain+`\`+name)
	}
	p.set("upn", upn)
	p.set("is_domain_joined", g.text(id, plainText, "IsDomainJoined"))
	p.set("dns_domain", g.text(id, plainText, "DnsDomain"))
	p.set("display_name", g.text(id, plainText, "DisplayName"))
	p.set("aad_tenant_id", g.text(id, plainText, "AadTenantId"))
	g.put(e)
}

func (g *graph) host(id int32) {
	name := g.text(id, plainText, "HostName")
	netbios := g.text(id, plainText, "NetBiosName")
	domain := strings.Trim(g.text(id, plainText, "DnsDomain"), ".")
	fqdn := g.text(id, plainText, "FQDN")
	value, confidence := name, 1.0
	if value == "" {
		value = netbios
	}
	if value == "" && fqdn != "" {
		value, confidence = fqdn, 0.9
	}
	if value == "" {
		g.missing(id, "host without a name")
		return
	}
	if domain != "" && !strings.HasSuffix(strings.ToLower(value), "."+strings.ToLower(domain)) {
		value += "." + domain
	}
	value, ok := hostName(value)
	if !ok {
		g.missing(id, "host name is not valid or too long")
		return
	}
	e := g.entity(id, alert.Host, value)
	e.Confidence = confidence
	p := props{&e}
	p.set("netbios_name", netbios)
	p.set("dns_domain", domain)
	p.set("fqdn", fqdn)
	p.set("nt_domain", g.text(id, plainText, "NTDomain"))
	p.set("os_family", g.text(id, plainText, "OSFamily"))
	p.set("os_version", g.text(id, plainText, "OSVersion"))
	p.set("resource_id", g.text(id, plainText, "AzureID", "ResourceId"))
	p.set("edr_device_id", g.text(id, plainText, "MdatpDeviceId", "OMSAgentID"))
	p.set("aad_device_id", g.text(id, plainText, "AadDeviceId"))
	p.set("is_domain_joined", g.text(id, plainText, "IsDomainJoined"))
	g.put(e)
}

func (g *graph) ip(id int32) {
	stated := g.text(id, plainText, "Address")
	value, ok := address(string(g.bytes(g.field(id, "Address"))))
	if !ok {
		g.missing(id, "address "+stated+" is not valid")
		return
	}
	e := g.entity(id, alert.IP, value)
	if at := g.field(id, "Location"); at != none && g.nodes[at].kind == kindObject {
		p := props{&e}
		p.set("geo_country", g.text(at, plainText, "CountryCode"))
		p.set("geo_country_name", g.text(at, plainText, "CountryName"))
		p.set("geo_city", g.text(at, plainText, "City"))
		p.set("geo_state", g.text(at, plainText, "State"))
		p.set("asn", g.text(at, plainText, "Asn"))
		p.set("carrier", g.text(at, plainText, "Carrier"))
	}
	g.put(e)
}

// fileName is the name and the whole path of a file object.
func (g *graph) fileName(id int32) (name, path string) {
	name = g.text(id, names, "Name", "FileName")
	dir := g.text(id, names, "Directory")
	if name == "" || dir == "" {
		return name, name
	}
	if strings.Contains(dir, "/") && !strings.Contains(dir, `\`) {
		return name, strings.TrimRight(dir, "/") + "/" + name
	}
	return name, strings.TrimRight(collapse(dir), `\`) + `\` + name
}

func (g *graph) file(id int32) {
	_, path := g.fileName(id)
	if path == "" {
		g.missing(id, "file without a name")
		return
	}
	e := g.entity(id, alert.File, path)
	p := props{&e}
	p.set("size", g.text(id, plainText, "Size", "SizeInBytes"))
	g.each(id, func(h int32) {
		if h = g.resolve(h); h == none || g.nodes[h].kind != kindObject {
			return
		}
		if v, t, ok := hashOf(string(g.bytes(g.field(h, "Value", "HashValue")))); ok {
			p.set(string(t), v)
		}
	}, "FileHashes")
	g.put(e)
}

func (g *graph) process(id int32) {
	pid := g.text(id, plainText, "ProcessId")
	var name, path string
	if image := g.linked(id, "ImageFile", "ImageFileEntityId"); image != none {
		name, path = g.fileName(image)
	}
	value := name
	if value == "" {
		value = pid
	}
	if value == "" {
		value = "unknown"
	}
	e := g.entity(id, alert.Process, value)
	p := props{&e}
	p.set("process_id", pid)
	p.set("command_line", g.text(id, commandText, "CommandLine"))
	p.set("image_name", name)
	p.set("image_path", path)
	p.set("creation_time", g.text(id, plainText, "CreationTimeUtc", "CreatedTimeUtc"))
	if parent := g.linked(id, "ParentProcess", "ParentProcessEntityId"); parent != none {
		p.set("parent_process_id", g.text(parent, plainText, "ProcessId"))
		if image := g.linked(parent, "ImageFile", "ImageFileEntityId"); image != none {
			parentName, _ := g.fileName(image)
			p.set("parent_image_name", parentName)
		}
	}
	g.put(e)
}

func (g *graph) url(id int32) {
	value := g.text(id, webText, "Url")
	if value == "" {
		g.missing(id, "url without an address")
		return
	}
	g.put(g.entity(id, alert.URL, value))
}

func (g *graph) dns(id int32) {
	value, ok := hostName(g.text(id, plainText, "DomainName"))
	if !ok {
		g.missing(id, "dns without a valid domain name")
		return
	}
	e := g.entity(id, alert.DNS, value)
	var ips []string
	g.each(id, func(a int32) {
		stated := g.bytes(a)
		if g.nodes[a].kind == kindObject {
			if a = g.resolve(a); a == none {
				return
			}
			stated = g.bytes(g.field(a, "Address"))
		}
		if ip, ok := address(string(stated)); ok && len(ips) < 64 {
			ips = append(ips, ip)
		}
	}, "IpAddresses", "IpAddress", "IpAddressEntityIds")
	props{&e}.set("resolved_ips", strings.Join(ips, ","))
	g.put(e)
}

func (g *graph) fileHash(id int32) {
	stated := g.text(id, plainText, "Algorithm")
	value, t, ok := hashOf(string(g.bytes(g.field(id, "Value", "HashValue"))))
	if !ok {
		g.missing(id, "hash is no MD5, SHA-1 or SHA-256")
		return
	}
	e := g.entity(id, alert.FileHash, value)
	props{&e}.set("algorithm", string(t))
	if a := strings.ToLower(strings.ReplaceAll(stated, "-", "")); a != "" && a != "unknown" && a != string(t) && a != "sha256ac" {
		g.missing(id, "hash has the length of "+string(t)+", not of "+stated)
	}
	g.put(e)
}

func (g *graph) mailbox(id int32) {
	upn := g.text(id, plainText, "Upn", "UserPrincipalName")
	value := g.text(id, plainText, "MailboxPrimaryAddress")
	if value == "" {
		value = upn
	}
	if value == "" {
		g.missing(id, "mailbox without an address")
		return
	}
	e := g.entity(id, alert.Mailbox, value)
	p := props{&e}
	p.set("upn", upn)
	p.set("display_name", g.text(id, plainText, "DisplayName"))
	p.set("aad_user_id", g.text(id, plainText, "AadId", "ExternalDirectoryObjectId"))
	g.put(e)
}

func (g *graph) mailMessage(id int32) {
	network := g.text(id, plainText, "NetworkMessageId")
	internet := g.text(id, plainText, "InternetMessageId")
	subject := g.text(id, plainText, "Subject")
	sender := g.text(id, plainText, "Sender", "P2Sender", "P1Sender")
	value := network
	for _, v := range []string{internet, subject, sender} {
		if value == "" {
			value = v
		}
	}
	if value == "" {
		g.missing(id, "mail message without an id")
		return
	}
	e := g.entity(id, alert.MailMessage, value)
	p := props{&e}
	p.set("network_message_id", network)
	p.set("internet_message_id", internet)
	p.set("subject", subject)
	p.set("sender", sender)
	p.set("p1_sender", g.text(id, plainText, "P1Sender"))
	p.set("p2_sender", g.text(id, plainText, "P2Sender"))
	p.set("recipient", g.text(id, plainText, "Recipient"))
	p.set("delivery_action", g.text(id, plainText, "DeliveryAction"))
	p.set("direction", g.text(id, plainText, "AntispamDirection"))
	for _, from := range []string{sender, e.Properties["p1_sender"], e.Properties["p2_sender"]} {
		g.c.mail(from, 1, e.Ref)
	}
	if ip, ok := address(string(g.bytes(g.field(id, "SenderIP")))); ok {
		p.set("sender_ip", ip)
		g.c.stated(alert.IP, ip, 1, e.Ref)
	}
	g.each(id, func(u int32) {
		if b := g.bytes(u); len(b) > 0 {
			g.c.stated(alert.URL, clean(string(b), webText), 1, e.Ref)
		}
	}, "Urls")
	g.put(e)
}

// keyName is the hive and the key of a registry key object.
func (g *graph) keyName(id int32) string {
	hive := g.text(id, names, "Hive")
	key := strings.Trim(collapse(g.text(id, names, "Key")), `\`)
	switch {
	case hive == "":
		return key
	case key == "":
		return hive
	}
	return hive + `\` + key
}

func (g *graph) registryKey(id int32) {
	value := g.keyName(id)
	if value == "" {
		g.missing(id, "registry key without a key")
		return
	}
	g.put(g.entity(id, alert.RegistryKey, value))
}

func (g *graph) registryValue(id int32) {
	name := g.text(id, names, "Name", "ValueName")
	value := name
	if key := g.linked(id, "Key", "KeyEntityId"); key != none {
		if path := g.keyName(key); path != "" && name != "" {
			value = path + `\` + name
		} else if path != "" {
			value = path
		}
	}
	if value == "" {
		g.missing(id, "registry value without a name")
		return
	}
	e := g.entity(id, alert.RegistryValue, value)
	p := props{&e}
	p.set("value_name", name)
	p.set("value_data", g.text(id, commandText, "Value", "ValueData"))
	p.set("value_type", g.text(id, plainText, "ValueType"))
	g.put(e)
}

func (g *graph) securityGroup(id int32) {
	g.known(id, alert.SecurityGroup, "DistinguishedName", "Name", "SID", "ObjectGuid")
}

func (g *graph) cloudApplication(id int32) {
	g.known(id, alert.CloudApplication, "Name", "AppName", "AppId", "SaasId")
}

func (g *graph) malware(id int32) {
	g.known(id, alert.Malware, "Name", "MalwareName")
}

// known adds an entity that is known by the first of the keys it has.
func (g *graph) known(id int32, t alert.EntityType, keys ...string) {
	value := g.text(id, plainText, keys...)
	if value == "" {
		g.missing(id, string(t)+" without a name")
		return
	}
	e := g.entity(id, t, value)
	p := props{&e}
	p.set("sid", g.text(id, plainText, "SID"))
	p.set("object_guid", g.text(id, plainText, "ObjectGuid"))
	p.set("app_id", g.text(id, plainText, "AppId"))
	p.set("instance_name", g.text(id, plainText, "InstanceName"))
	p.set("category", g.text(id, plainText, "Category"))
	g.put(e)
}

// props sets properties of an entity that is being built.
type props struct{ e *alert.Entity }

func (p props) set(name, value string) { setProperty(p.e, name, value, false) }
