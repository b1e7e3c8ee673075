package eval

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/parse"
)

// Names are the names and ids of a set of records that say who and where, and nothing about
// what happened. Free ones are renamed wherever they stand; Bound ones, which are also words of
// the language or of products, only where they are a whole value of a field of names.
type Names struct {
	// Free maps the lower-case name to its sort.
	Free  map[string]Sort
	Bound map[string]Sort
}

// Sort is what a name is of.
type Sort uint8

// The sorts.
const (
	User Sort = iota
	Host
	Domain // DNS or NetBIOS name of a domain
	Ident  // GUID, session, document id
	LogonID
)

// Sorts of fields, by the last part of their path in lower case without separators.
var (
	userKeys = words(`user username targetusername subjectusername srcuser dstuser sourceuser targetuser parentuser accountname account
		samaccountname membername uname auid suser duser srcusername dstusername userprincipalname upn accountupn initiatingprocessaccountname
		aaduserid userid logonuser callingusername targetoutboundusername oldtargetusername newtargetusername actor principal login owner src_user
		mailboxowner mailboxownerupn sender recipient recipientemailaddress senderfromaddress fromaddress email mail`)
	hostKeys = words(`computer computername hostname host dvc dvchost dest_host src_host dst_host desthost srchost devicename workstation
		workstationname targetservername sourcehostname destinationhostname compromisedentity dnshostname sourcehost machinename dest_nt_host
		src_nt_host remotename localname clientname`)
	domainKeys = words(`domain targetdomainname subjectdomainname ntdomain dnsdomain userdomain accountdomain rrname query queryname sni
		domainname registereddomain dest_nt_domain src_nt_domain targetoutbounddomainname memberdomain`)
	identKeys = words(`processguid parentprocessguid sourceprocessguid targetprocessguid logonguid scriptblockid activityid correlationid
		systemalertid vendororiginalid tenantid workspaceid sessionid aadsessionid uniquetokenidentifier _id entity_id flow_id alert_id
		userobjectid aadtenantid incidentid uniqueprocessid notable_id event_id uuid alertuuid`)
	logonKeys = words(`logonid targetlogonid subjectlogonid targetlinkedlogonid`)
)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		m[w] = true
	}
	return m
}

// builtin are names that every installation has: they mean the same everywhere and stay.
var builtin = words(`system local service network administrator administrators admin guest root krbtgt defaultaccount wdagutilityaccount everyone
	public default all users nobody daemon www-data anonymous localsystem localservice networkservice builtin workgroup localhost unknown none null
	sshd mail ftp bin sys sync games man lp news uucp proxy backup list irc gnats apache nginx mysql postgres mssql oracle iusr iis apppool
	nt authority window manager font driver host trustedinstaller dwm umfd domain local internal target server client user test www api cdn
	smtp imap pop ns dns ntp dhcp gateway router switch printer print web app apps db sql file files share data server1 server2 user1 user2
	windows linux unix macos android ubuntu debian centos fedora redhat suricata snort zeek wazuh ossec sysmon splunk elastic sentinel defender
	microsoft azure aws google cloud firewall sensor agent manager console true false yes no the and for with from name other temp tmp home`)

// platforms are services where everybody keeps things: what they are says more than who they
// are, and every organisation has them.
var platforms = words(`github.com githubusercontent.com raw.githubusercontent.com gist.githubusercontent.com gitlab.com bitbucket.org sourceforge.net
	pastebin.com dropbox.com drive.google.com docs.google.com onedrive.live.com sharepoint.com discord.com cdn.discordapp.com telegram.org t.me slack.com
	mega.nz transfer.sh anonfiles.com ngrok.io ngrok-free.app trycloudflare.com workers.dev pages.dev web.core.windows.net blob.core.windows.net
	s3.amazonaws.com storage.googleapis.com archive.org virustotal.com gmail.com outlook.com hotmail.com yahoo.com`)

// keepDomain reports whether a DNS name belongs to no one in particular or to everybody: the
// services of vendors, which many organisations share, and the example names.
func keepDomain(warn *parse.WarningLists, name string) bool {
	if platforms[name] {
		return true
	}
	switch warn.Warn(alert.IndicatorDomain, name) {
	case parse.ReasonWellKnown, parse.ReasonDocumentation, parse.ReasonPlatform, parse.ReasonResolver:
		return true
	}
	return false
}

var (
	guidForm    = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	userFolder  = regexp.MustCompile(`(?i)(?:\\+|/+)(?:users|home|documents and settings)(?:\\+|/+)([^\\/:*?"<>|\s;,'%$&()]{2,64})(?:\\|/)`)
	domainUser  = regexp.MustCompile(`^([A-Za-z0-9._-]{2,64})\\+([^\\/]{1,104})$`)
	mailForm    = regexp.MustCompile(`\b([A-Za-z0-9._%+-]{1,64})@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)\b`)
	urlHost     = regexp.MustCompile(`(?i)\b(?:https?|ftp|wss?|ldaps?)://(?:[^/\s@"']*@)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)`)
	hexNumber   = regexp.MustCompile(`(?i)^0x[0-9a-f]+$`)
	plainName   = regexp.MustCompile(`^[A-Za-z0-9\x80-\xff][A-Za-z0-9\x80-\xff ._-]*\$?$`)
	uidSuffix   = regexp.MustCompile(`\(uid=\d+\)$`)
	opaqueIdent = regexp.MustCompile(`^[A-Za-z0-9_-]{12,}$`)
)

// CollectNames finds the names and ids of a set of records by the names of fields, the folders
// of users in paths, addresses of mail and hosts of URLs.
func CollectNames(records [][]byte) (*Names, error) {
	c := &collector{n: &Names{Free: map[string]Sort{}, Bound: map[string]Sort{}}, warn: parse.NewWarningLists()}
	for _, raw := range records {
		if err := each(raw, c.leaf); err != nil {
			return nil, err
		}
	}
	return c.n, nil
}

type collector struct {
	n    *Names
	warn *parse.WarningLists
}

func (c *collector) leaf(l leaf) {
	if l.number {
		return
	}
	key := strings.NewReplacer("-", "", ".", "").Replace(l.key())
	text := strings.ReplaceAll(strings.TrimSpace(l.text), `\\`, `\`)
	switch {
	case userKeys[key]:
		c.account(text)
	case hostKeys[key], nameOf(l.path, "agent", "host", "manager", "observer", "device"):
		c.host(text)
	case domainKeys[key]:
		c.domain(text)
	case identKeys[key]:
		c.ident(text)
	case logonKeys[key]:
		if id := strings.ToLower(text); hexNumber.MatchString(id) && len(id) > 6 {
			c.n.Free[id] = LogonID
		}
	}
	c.text(text)
}

// nameOf reports whether the path ends in the name of one of these objects: agent.name.
func nameOf(path string, objects ...string) bool {
	rest, ok := strings.CutSuffix(path, ".name")
	return ok && slices.Contains(objects, rest[strings.LastIndexByte(rest, '.')+1:])
}

// text finds what has a form of its own wherever it stands.
func (c *collector) text(s string) {
	for _, m := range userFolder.FindAllStringSubmatch(s, -1) {
		c.add(m[1], User)
	}
	for _, m := range mailForm.FindAllStringSubmatch(s, -1) {
		c.add(m[1], User)
		c.domain(m[2])
	}
	for _, m := range urlHost.FindAllStringSubmatch(s, -1) {
		c.domain(m[1])
	}
}

func (c *collector) account(s string) {
	s = uidSuffix.ReplaceAllString(s, "")
	if m := domainUser.FindStringSubmatch(s); m != nil {
		c.domain(m[1])
		s = m[2]
	}
	if at := strings.IndexByte(s, '@'); at > 0 {
		c.domain(s[at+1:])
		s = s[:at]
	}
	if name, ok := strings.CutSuffix(s, "$"); ok {
		c.host(name)
		return
	}
	if guidForm.MatchString(s) || strings.HasPrefix(s, "S-1-") {
		return
	}
	c.add(s, User)
}

func (c *collector) host(s string) {
	if _, err := netip.ParseAddr(s); err == nil {
		return
	}
	short, rest, qualified := strings.Cut(strings.TrimPrefix(s, `\\`), ".")
	c.add(short, Host)
	if qualified && rest != "" {
		c.domain(s)
		c.domain(rest)
	}
}

func (c *collector) domain(s string) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if _, err := netip.ParseAddr(s); err == nil || !plainName.MatchString(s) || strings.Contains(s, " ") {
		return
	}
	if !strings.Contains(s, ".") {
		c.add(s, Domain)
		return
	}
	own, err := publicsuffix.EffectiveTLDPlusOne(s)
	if err != nil {
		return
	}
	c.n.Free[s], c.n.Free[own] = Domain, Domain
}

func (c *collector) ident(s string) {
	s = strings.Trim(s, "{}")
	switch {
	case guidForm.MatchString(s):
		if strings.Trim(s, "0-") != "" {
			c.n.Free[strings.ToLower(s)] = Ident
		}
	case opaqueIdent.MatchString(s) && strings.ContainsAny(s, "0123456789") && strings.ToLower(s) != s:
		c.n.Free[s] = Ident // of the indexer: capitals count
	}
}

// add takes a name; what is no name of anyone in particular stays out.
func (c *collector) add(s string, sort Sort) {
	low := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "$"))
	if len(low) < 2 || len(low) > 64 || !plainName.MatchString(low) || strings.Trim(low, "0123456789.-_") == "" || anonymous(low) {
		return
	}
	if builtin[low] {
		if sort == Host {
			c.n.Bound[low] = sort
		}
		return
	}
	if len(low) < 4 {
		c.n.Bound[low] = sort
		return
	}
	c.n.Free[low] = sort
}

// anonymous knows the names that Windows gives to accounts of its own.
func anonymous(low string) bool {
	for _, p := range [...]string{"nt ", "anonymous ", "local ", "network ", "window manager", "font driver host", "dwm-", "umfd-", "iis apppool", "s-1-"} {
		if strings.HasPrefix(low, p) {
			return true
		}
	}
	return false
}
