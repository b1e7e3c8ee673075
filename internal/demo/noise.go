package demo

import (
	"fmt"
	"slices"
	"time"
)

// The kinds of noise.
const (
	KindScanner  = "scanner"
	KindUpdates  = "updates and servicing"
	KindBackup   = "backup"
	KindHelpdesk = "helpdesk remote management"
	KindPassword = "service account after password change"
	KindTravel   = "vpn and travel"
	KindDrill    = "phishing simulation"
	KindDevelop  = "developer tooling"
	KindDeploy   = "cloud deployment"
	KindIDS      = "ids policy"
)

// Counts is how many alerts of each kind of noise a story has.
var Counts = map[string]int{
	KindScanner: 60, KindUpdates: 50, KindBackup: 20, KindHelpdesk: 15, KindPassword: 30, KindTravel: 15, KindDrill: 10, KindDevelop: 20, KindDeploy: 20, KindIDS: 40,
}

// Elastic's collector stands still from silentFrom to silentTo: what happens meanwhile on the
// hosts that only Elastic watches is seen by nobody.
const (
	silentFrom = "08:00:00"
	silentTo   = "08:13:30"
)

func (s *story) noise() {
	s.scanner()
	s.updates()
	s.backups()
	s.management()
	s.passwordChange()
	s.travel()
	s.drill()
	s.development()
	s.deployment()
	s.policy()
}

// over spreads n moments over a span, one in each n-th of it. Elastic's leave out its silence.
func (s *story) over(source, from, to string, n int) []time.Time {
	start, end := s.at(from), s.at(to)
	hole, wake := s.at(silentFrom), s.at(silentTo)
	silent := time.Duration(0)
	if source == "elastic" && start.Before(hole) && end.After(wake) {
		silent = wake.Sub(hole)
	}
	slot := (end.Sub(start) - silent) / time.Duration(n)
	out := make([]time.Time, n)
	for i := range out {
		at := start.Add(time.Duration(i)*slot + time.Duration(s.rng.Int64N(int64(slot)))).Truncate(time.Millisecond)
		if silent > 0 && !at.Before(hole) {
			at = at.Add(silent)
		}
		out[i] = at
	}
	return out
}

// each calls tell with n moments of a span.
func (s *story) each(source, from, to string, n int, tell func(i int, at time.Time)) {
	for i, at := range s.over(source, from, to, n) {
		tell(i, at)
	}
}

func ring[T any](list []T, i int) T { return list[i%len(list)] }

// servers are what the scanner visits, the attacked ones among them.
func (s *story) servers() []*host {
	return []*host{s.fileServer, s.app1, s.dc, s.sql, s.backup, s.web, s.app2, s.dc2, s.jump, s.web2, s.backup2, s.config}
}

func (s *story) everyone() []*host {
	return append([]*host{s.victimPC, s.fileServer, s.desks[0], s.dc, s.app1, s.desks[1], s.backup, s.desks[2], s.sql, s.desks[3], s.app2, s.desks[4], s.dc2}, s.desks[5:]...)
}

// scanner is the weekly authenticated scan of the servers, 60 alerts.
func (s *story) scanner() {
	why := func(what string) Truth {
		return noise(KindScanner, "The weekly scan by the vulnerability scanners: "+what+".")
	}
	probes := []struct {
		sid            int
		name, category string
		priority, port int
		app, url       string
	}{
		{2900501, "ET SCAN Web vulnerability scanner user agent", "Web Application Attack", 1, 443, "http", "/cgi-bin/test.cgi"},
		{2900502, "ET SCAN SMB null session probe", "Attempted Information Leak", 2, 445, "smb", ""},
		{2900503, "ET SCAN Remote desktop negotiation without encryption", "Attempted Information Leak", 2, 3389, "rdp", ""},
		{2900504, "ET WEB_SERVER Path traversal to a password file", "Web Application Attack", 1, 443, "http", "/..%2f..%2f..%2fetc/passwd"},
		{2900505, "ET SCAN Database version probe", "Attempted Information Leak", 2, 1433, "failed", ""},
		{2900506, "ET WEB_SERVER Lookup expression in a request header", "Attempted Administrator Privilege Gain", 1, 8443, "http", "/?x=${jndi:ldap://scan.invalid/a}"},
		{2900507, "ET SCAN Rapid connections to many ports", "Detection of a Network Scan", 3, 135, "failed", ""},
	}
	s.each("wazuh", "06:52:00", "08:46:00", 22, func(i int, at time.Time) {
		p, dst, src := ring(probes, i), ring(s.servers(), i), ring([]*host{s.scan, s.scan2}, i)
		more := object{}
		if p.url != "" {
			more["http"] = object{"hostname": s.fqdn(dst), "url": p.url, "http_user_agent": "Mozilla/5.0 (compatible; vulnerability-scanner; +https://scan." + s.domain + ")", "http_method": "GET", "protocol": "HTTP/1.1", "status": "404", "length": "196"}
		}
		s.suricata(s.sensor, p.sid, p.name, p.category, p.priority, at, src.ip, 40000+i*37, dst.ip, p.port, "TCP", p.app, more, why("a probe of "+dst.name))
		s.events[len(s.events)-1].Host = dst.name
	})
	urls := []string{"/.git/config", "/wp-login.php", "/?id=1%27%20or%20%271%27=%271", "/phpmyadmin/index.php", "/server-status", "/admin/config.php?cmd=id"}
	s.each("wazuh", "06:58:00", "08:30:00", 12, func(i int, at time.Time) {
		url, web := ring(urls, i), ring([]*host{s.web, s.web2}, i)
		sig := signature{id: "31101", title: "Web server 400 error code.", severity: "low", groups: []string{"web", "accesslog", "attack"}}
		if i%3 == 2 {
			sig = signature{id: "31103", title: "SQL injection attempt.", severity: "medium", groups: []string{"web", "accesslog", "attack", "sql_injection"}, techniques: []string{"T1190"}}
		}
		log := fmt.Sprintf(`%s - - [%s] "GET %s HTTP/1.1" 404 196 "-" "Mozilla/5.0 (compatible; vulnerability-scanner)"`, s.scan.ip, at.Format("02/Jan/2006:15:04:05 +0000"), url)
		s.wazuh(sig, web, at, "web-accesslog", "/var/log/nginx/access.log", object{"full_log": log, "data": object{"protocol": "GET", "srcip": s.scan.ip, "id": "404", "url": url, "browser": "Mozilla/5.0 (compatible; vulnerability-scanner)"}}, why("requests to "+web.name).on(web, ""))
	})
	s.each("wazuh", "07:05:00", "08:20:00", 6, func(i int, at time.Time) {
		h, user := ring([]*host{s.web, s.web2, s.buildLinux}, i), ring([]string{"admin", "test", "oracle"}, i)
		log := fmt.Sprintf("%s %s sshd[%d]: Invalid user %s from %s port %d", at.Format("Jan _2 15:04:05"), h.name, 4000+i, user, s.scan2.ip, 51000+i)
		s.wazuh(signature{id: "5710", title: "sshd: Attempt to login using a non-existent user", severity: "low", groups: []string{"syslog", "sshd", "authentication_failed", "invalid_login"}, techniques: []string{"T1110.001"}}, h, at, "sshd", "/var/log/auth.log", object{
			"full_log": log, "predecoder": object{"program_name": "sshd", "timestamp": at.Format("Jan _2 15:04:05"), "hostname": h.name}, "data": object{"srcip": s.scan2.ip, "srcuser": user, "srcport": fmt.Sprint(51000 + i)},
		}, why("default accounts tried").on(h, user))
	})
	s.each("splunk", "06:53:00", "08:48:00", 10, func(i int, at time.Time) {
		dst := ring(s.servers(), i+3)
		sig := signature{id: "port-sweep", title: "Host sweeps many ports", severity: "medium", techniques: []string{"T1046"}, text: "One address connected to more than 100 ports of a host within five minutes."}
		f := object{"src": s.scan.ip, "src_ip": s.scan.ip, "src_nt_host": s.scan.name, "dest": dst.name, "dest_ip": dst.ip, "dest_port_count": fmt.Sprint(400 + 13*i), "transport": "tcp", "action": "blocked", "dvc": "fw-core", "orig_sourcetype": "pan:traffic", "vendor_product": "Firewall"}
		if i%3 == 1 {
			sig = signature{id: "web-attack", title: "Many attack signatures from one source", severity: "high", techniques: []string{"T1595.002", "T1190"}, text: "More than 20 different attack signatures from one source within an hour."}
			f["signature"], f["signature_count"], f["category"], f["dest_port_count"] = []string{"Path traversal", "Command injection", "Template injection"}, fmt.Sprint(27+i), "Web Application Attack", "2"
		}
		s.splunk(sig, at, "network", f, why("ports of "+dst.name).on(dst, ""))
	})
	s.each("elastic", "06:56:00", "08:44:00", 6, func(i int, at time.Time) {
		dst := ring(s.servers(), 2*i)
		s.elastic(signature{id: "smb-enum", title: "Many hosts contacted over SMB by one host", severity: "medium", techniques: []string{"T1046", "T1018"}, text: "One host opened SMB connections to more than 20 hosts within five minutes."}, at, "network_traffic.flow", object{
			"event":  object{"category": []string{"network"}, "type": []string{"connection"}, "action": "network_flow", "outcome": "success", "module": "network_traffic"},
			"source": object{"ip": s.scan2.ip, "port": 40100 + i, "address": s.scan2.ip}, "destination": object{"ip": dst.ip, "port": 445, "domain": s.fqdn(dst)}, "network": object{"transport": "tcp", "protocol": "smb", "bytes": 2210 + i, "direction": "internal"},
			"host": s.ecsHost(s.sensor2), "agent": s.agent(s.sensor2, "packetbeat"),
		}, why("SMB connections to all servers").on(dst, ""))
	})
	s.each("sentinel", "07:00:00", "08:40:00", 4, func(i int, at time.Time) {
		s.sentinel(signature{id: "mapping", title: "Network-mapping reconnaissance (DNS)", severity: "medium", techniques: []string{"T1046"},
			text: "Suspicious DNS activity was observed, originating from " + s.scan.name + " (which is not a DNS server)."}, at, identity, "DnsReconnaissanceSecurityAlert", s.scan.name,
			object{"Severity score": "Medium", "Source computer": s.scan.name, "Number of queries": fmt.Sprint(812 + i)}, []entity{s.hostEntity(s.scan), s.hostEntity(ring([]*host{s.dc, s.dc2}, i)), ipEntity(s.scan.ip)}, why("names of the network asked from the name server").on(ring([]*host{s.dc, s.dc2}, i), ""))
	})
}

// passwordChange is a rotation at 07:10: three services keep the old password, 30 alerts.
func (s *story) passwordChange() {
	account := s.service[s.apps[0]]
	why := func(what string) Truth {
		return noise(KindPassword, "The password of "+account+" was changed in the announced window; "+what+".")
	}
	hosts := []*host{s.app1, s.app2, s.sql}
	s.each("wazuh", "07:11:00", "08:28:00", 12, func(i int, at time.Time) {
		h := ring(hosts, i)
		d := s.logonEvent(h, account, ring([]string{"5", "4", "3"}, i), "Negotiate", h.name, "-", "")
		d["Status"], d["SubStatus"], d["FailureReason"], d["ProcessName"] = "0xC000006D", "0xC000006A", "%%2313", sys32+"services.exe"
		d["SubjectUserName"], d["SubjectUserSid"], d["SubjectDomainName"], d["SubjectLogonId"], d["LogonProcessName"] = h.name+"$", "S-1-5-18", s.netbios, "0x3e7", "Advapi"
		s.wazuhWindows(signature{id: "60122", title: "Logon Failure - Unknown user or bad password", severity: "low", groups: []string{"windows", "windows_security", "authentication_failed"}, techniques: []string{"T1110"}}, h, at, security, "4625", "An account failed to log on", d,
			why("a service on "+h.name+" still has the old one"))
	})
	s.each("splunk", "07:12:00", "08:35:00", 9, func(i int, at time.Time) {
		h := ring(hosts, i)
		sig := signature{id: "excessive", title: "Excessive failed logins", severity: "medium", techniques: []string{"T1110.001"}, text: "An account failed to log in more than ten times within five minutes."}
		f := object{"user": account, "src": h.name, "src_ip": h.ip, "dest": s.dc.name, "dest_ip": s.dc.ip, "app": "win:remote", "action": "failure", "count": fmt.Sprint(14 + 3*i), "signature": "Kerberos pre-authentication failed", "signature_id": "4771", "EventCode": "4771", "Failure_Code": "0x18", "orig_sourcetype": "XmlWinEventLog:Security", "user_category": "service"}
		if i%4 == 3 {
			sig = signature{id: "lockout", title: "Account locked out", severity: "low", techniques: []string{"T1110"}, text: "An account was locked after too many failed logins."}
			f["signature"], f["signature_id"], f["EventCode"], f["action"] = "A user account was locked out", "4740", "4740", "lockout"
		}
		s.splunk(sig, at, "access", f, why("tickets are refused to "+h.name).on(s.dc, account))
	})
	s.each("elastic", "07:13:00", "08:40:00", 5, func(i int, at time.Time) {
		h := ring(hosts, i)
		s.elasticWindows(signature{id: "preauth", title: "Kerberos pre-authentication failures of a service account", severity: "medium", techniques: []string{"T1110.001"}, text: "Pre-authentication of a service account failed repeatedly."}, s.dc, at, security, "4771", "Kerberos pre-authentication failed", "failure",
			eventdata{"TargetUserName": account, "TargetSid": s.sid(account), "ServiceName": "krbtgt/" + s.netbios, "TicketOptions": "0x40810010", "Status": "0x18", "PreAuthType": "2", "IpAddress": "::ffff:" + h.ip, "IpPort": fmt.Sprint(52000 + i)},
			object{"source": object{"ip": h.ip, "port": 52000 + i}, "user": object{"name": account, "domain": s.netbios, "id": s.sid(account)}}, why("the controller refuses "+h.name))
	})
	s.each("sentinel", "07:14:00", "08:38:00", 4, func(i int, at time.Time) {
		h := ring(hosts, i)
		s.sentinel(signature{id: "brute", title: "Suspected brute-force attack (Kerberos, NTLM)", severity: "medium", techniques: []string{"T1110"},
			text: "An actor on " + h.name + " generated a suspicious number of failed login attempts on the account " + account + "."}, at, identity, "BruteForceSecurityAlert", h.name,
			object{"Severity score": "Medium", "Source computer": h.name, "Failed attempts": fmt.Sprint(40 + 7*i), "Accounts": account}, []entity{s.hostEntity(h), s.domainAccount(account), s.hostEntity(s.dc), ipEntity(h.ip)}, why("the directory counts the failures of "+h.name).on(h, account))
	})
}

// travel are people who work from elsewhere and providers that misplace them, 15 alerts.
func (s *story) travel() {
	sales := s.people[10:18]
	why := func(what string) Truth { return noise(KindTravel, what) }
	agent := "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36 Edg/129.0.0.0"
	s.each("sentinel", "06:55:00", "08:47:00", 7, func(i int, at time.Time) {
		p := ring(sales, i)
		if i == 3 {
			p = s.helpdesk // the attacked administrator's own account, on the way to work
		}
		away := fmt.Sprintf("198.51.100.%d", 20+s.number("away"+p.sam(), 0, 60))
		account := s.accountOf(p)
		props := object{"Client IP Address": away, "User Account": s.upn(p), "User Agent": agent, "State": "Active", "Device Id": s.guid("device/" + p.sam()), "Device Compliant": "True", "Device Trust": "Hybrid Azure AD joined", "Authentication Requirement": "multiFactorAuthentication", "MFA result": "MFA requirement satisfied by Windows Hello for Business", "Session Id": s.guid("session/" + p.sam())}
		list := []entity{account, ipEntity(away), s.cloudSession(p.sam(), agent, account)}
		switch i % 3 {
		case 0:
			s.sentinel(signature{id: "unfamiliar", title: "Unfamiliar sign-in properties", severity: "low", techniques: []string{"T1078.004"}, text: "Sign-in with properties we have not seen recently for the given user."}, at, protection, "UnfamiliarLocation", s.upn(p), props, list,
				why("A hotel network; the managed device and Windows Hello prove the person.").on(nil, p.sam()))
		case 1:
			s.sentinel(signature{id: "atypical", title: "Atypical travel", severity: "medium", techniques: []string{"T1078.004"}, text: "Sign-in from an atypical location based on the user's recent sign-ins."}, at, protection, "UnlikelyTravel", s.upn(p),
				merge(props, object{"Previous IP Address": s.vpnGate, "Previous Location": "SE"}), append(list, ipEntity(s.vpnGate)), why("One sign-in through the company's VPN, one past it, from the same managed device.").on(nil, p.sam()))
		default:
			s.sentinel(signature{id: "impossible", title: "Impossible travel activity", severity: "medium", techniques: []string{"T1078.004"}, text: "The user performed activities from two places within a time too short to travel."}, at, cloudApps, "MCAS_ALERT_ANUBIS_DETECTION_VELOCITY", s.upn(p),
				merge(props, object{"Application": "Microsoft Teams", "Second IP Address": s.egress}), append(list, ipEntity(s.egress)), why("Mobile telephone and office network at the same time.").on(nil, p.sam()))
		}
	})
	s.each("splunk", "06:57:00", "08:44:00", 5, func(i int, at time.Time) {
		p := ring(sales, i+3)
		away := fmt.Sprintf("198.51.100.%d", 20+s.number("away"+p.sam(), 0, 60))
		s.splunk(signature{id: "vpn-country", title: "VPN login from a country not seen before", severity: "medium", techniques: []string{"T1133"}, text: "A user connected to the VPN from a country that was not seen for the user within 90 days."}, at, "access", object{
			"user": p.sam(), "src": away, "src_ip": away, "dest": s.vpn.name, "app": "vpn", "action": "success", "authentication_method": "certificate+SAML", "assigned_ip": fmt.Sprintf("%s%d", s.vpnLease[:len(s.vpnLease)-1], i+5), "session_id": s.guid("vpn/" + p.sam()),
			"src_country": country(away), "src_asn_org": network(away), "posture": "compliant", "device": "LT-" + upper(p.last[:3]) + "-07", "device_certificate": "CN=LT-" + upper(p.last[:3]) + "-07, O=" + s.company, "vendor_product": "Remote Access VPN", "orig_sourcetype": "vpn:auth",
		}, why("A business trip, with the company's laptop and its certificate.").on(s.vpn, p.sam()))
	})
	s.each("elastic", "07:04:00", "08:36:00", 3, func(i int, at time.Time) {
		p := ring(sales, i+6)
		away := fmt.Sprintf("198.51.100.%d", 20+s.number("away"+p.sam(), 0, 60))
		s.elastic(signature{id: "two-countries", title: "Sign-ins of one user from two countries within an hour", severity: "medium", techniques: []string{"T1078.004"}, text: "A user signed in to Microsoft 365 from two countries within an hour."}, at, "azure.signinlogs", object{
			"event": object{"category": []string{"authentication"}, "type": []string{"info"}, "action": "Sign-in activity", "outcome": "success", "module": "azure", "provider": "azure.signinlogs"},
			"azure": object{"signinlogs": object{"category": "SignInLogs", "properties": object{"app_display_name": "Microsoft Teams", "authentication_requirement": "multiFactorAuthentication", "client_app_used": "Mobile Apps and Desktop clients", "conditional_access_status": "success",
				"device_detail": object{"device_id": s.guid("device/" + p.sam()), "display_name": "LT-" + upper(p.last[:3]) + "-07", "is_managed": true, "is_compliant": true, "trust_type": "Hybrid Azure AD joined", "operating_system": "Windows 11"}, "is_interactive": true, "session_id": s.guid("session/" + p.sam()), "status": object{"error_code": 0}, "user_principal_name": s.upn(p)}}},
			"user": object{"name": p.sam(), "email": s.upn(p)}, "source": merge(source(away), object{"geo": object{"country_iso_code": country(away)}}), "user_agent": object{"original": agent}, "agent": collector(),
		}, why("Train across the border; managed device.").on(nil, p.sam()))
	})
}

// drill is the announced phishing simulation, 10 alerts.
func (s *story) drill() {
	domain := s.drillDomain()
	why := func(p person) Truth {
		return noise(KindDrill, "The announced phishing simulation; "+p.display()+" clicked or reported.").on(nil, p.sam())
	}
	subject := "Parking permits: confirm your licence plate"
	who := append([]person{s.victim}, s.people[18:27]...)
	s.each("sentinel", "06:59:00", "08:20:00", 5, func(i int, at time.Time) {
		p := who[i]
		url := "https://parking." + domain + "/p/" + s.digest("drill/"+p.sam(), 12)
		box := entity{"Type": "mailbox", "MailboxPrimaryAddress": s.upn(p), "Upn": s.upn(p), "DisplayName": p.display()}
		mail := entity{"Type": "mailMessage", "Recipient": s.upn(p), "Sender": "facility@" + domain, "SenderIP": "198.51.100.201", "NetworkMessageId": s.guid("drill/" + p.sam()), "Subject": subject, "DeliveryAction": "Delivered", "Urls": []string{url}}
		sig, kind := signature{id: "reported", title: "Email reported by user as malware or phish", severity: "low", techniques: []string{"T1566.002"}, text: "A user reported a message as phishing."}, "OfficeATP-UserReported"
		if i%2 == 1 {
			sig, kind = signature{id: "url-click", title: "A potentially malicious URL click was detected", severity: "high", techniques: []string{"T1566.002"}, text: "A user clicked through to a link that was found malicious after delivery."}, "OfficeATP-UrlClick"
		}
		s.sentinel(sig, at, office, kind, s.upn(p), object{"AlertPolicyId": fixedGUID("policy/" + sig.id), "Threat type": "Phish", "Campaign": "awareness"}, []entity{box, mail, {"Type": "url", "Url": url}, s.accountOf(p)}, why(p))
	})
	s.each("splunk", "07:03:00", "08:25:00", 3, func(i int, at time.Time) {
		p := who[5+i]
		s.splunk(signature{id: "mail-new-domain", title: "Message from a newly registered sender domain", severity: "low", techniques: []string{"T1566.002"}, text: "A message passed the gateway whose sender domain was first seen less than a week ago."}, at, "network", object{
			"src": "198.51.100.201", "src_user": "facility@" + domain, "recipient": s.upn(p), "user": s.upn(p), "subject": subject, "message_id": "<" + s.digest("drill/"+p.sam(), 20) + "@" + domain + ">", "url_domain": "parking." + domain, "url": "https://parking." + domain + "/p/" + s.digest("drill/"+p.sam(), 12),
			"action": "delivered", "orig_sourcetype": "cisco:esa:textmail", "dvc": s.mail.name, "filter_score": "12", "domain_age_days": "5",
		}, why(p))
	})
	s.each("elastic", "07:08:00", "08:19:00", 2, func(i int, at time.Time) {
		p, pc := who[8+i], ring(s.desks, i+2)
		s.elastic(signature{id: "dns-lookalike", title: "Name looked up that was registered this week", severity: "low", techniques: []string{"T1204.001"}, text: "A host asked for a domain that was registered less than a week ago."}, at, "network_traffic.dns", object{
			"event": object{"category": []string{"network"}, "type": []string{"protocol"}, "action": "dns_query", "outcome": "success", "module": "network_traffic"}, "dns": object{"question": object{"name": "parking." + domain, "type": "A", "registered_domain": domain}, "response_code": "NOERROR", "resolved_ip": []string{"198.51.100.202"}},
			"source": object{"ip": pc.ip, "port": 53111 + i}, "destination": object{"ip": s.dc.ip, "port": 53}, "host": s.ecsHost(pc), "agent": s.agent(pc, "packetbeat"), "user": object{"name": p.sam()}, "network": object{"protocol": "dns", "transport": "udp"},
		}, why(p).on(pc, p.sam()))
	})
}

func (w *world) drillDomain() string { return "parking-permits-service.example" }

// deployment is the pipeline that builds the cloud, 20 alerts with the intruder's verbs.
func (s *story) deployment() {
	agent := "APN/1.0 HashiCorp/1.0 Terraform/1.9.5 (+https://www.terraform.io) terraform-provider-aws/5.68.0 aws-sdk-go-v2/1.30.4"
	why := func(what string) Truth {
		return noise(KindDeploy, "The deployment pipeline at work: "+what+" through its role, from the build network.")
	}
	role := "pipeline-deploy"
	c := func(service, event, run string, request, response object) call {
		return call{service: service, event: event, role: role, user: "run-" + s.digits(run, 6), key: "ASIA" + upper(s.digest("sts/"+run, 16)), ip: s.buildEgress, agent: agent, request: request, response: response}
	}
	app := s.apps[1]
	calls := []call{
		c("iam", "CreateRole", "r1", object{"roleName": app + "-task", "path": "/service/", "assumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}, object{"role": object{"roleName": app + "-task"}}),
		c("iam", "AttachRolePolicy", "r1", object{"roleName": app + "-task", "policyArn": "arn:aws:iam::" + s.awsAccount + ":policy/" + app + "-task"}, object{}),
		c("iam", "PutRolePolicy", "r1", object{"roleName": app + "-task", "policyName": "logs", "policyDocument": `{"Statement":[{"Effect":"Allow","Action":["logs:PutLogEvents"],"Resource":"*"}]}`}, object{}),
		c("ec2", "AuthorizeSecurityGroupIngress", "r1", object{"groupId": "sg-" + s.digest("sg", 17), "cidrIp": "10.0.0.0/8", "fromPort": 443, "toPort": 443}, object{"_return": true}),
		c("iam", "UpdateAssumeRolePolicy", "r2", object{"roleName": app + "-batch", "policyDocument": `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + s.awsAccount + `:role/scheduler"},"Action":"sts:AssumeRole"}]}`}, object{}),
		c("s3", "PutBucketPolicy", "r2", object{"bucketName": s.company + "-" + app + "-artifacts", "policy": "private"}, object{}),
		c("kms", "ScheduleKeyDeletion", "r2", object{"keyId": "alias/" + app + "-old", "pendingWindowInDays": 30}, object{}),
		c("ec2", "DeleteSnapshot", "r2", object{"snapshotId": "snap-" + s.digest("snap", 17)}, object{}),
		c("iam", "CreateAccessKey", "r3", object{"userName": "svc-" + app + "-smtp"}, object{"accessKey": object{"userName": "svc-" + app + "-smtp", "status": "Active"}}),
		c("iam", "DeleteAccessKey", "r3", object{"userName": "svc-" + app + "-smtp"}, object{}),
	}
	tell := func(i int, at time.Time) (signature, call) {
		k := ring(calls, i)
		k.user = "run-" + s.digits(fmt.Sprint("run", at.Unix()/900), 6)
		return signature{severity: "low", techniques: []string{"T1098"}}, k
	}
	s.each("wazuh", "06:54:00", "08:42:00", 8, func(i int, at time.Time) {
		sig, k := tell(i, at)
		sig.id, sig.groups, sig.title = "80202", []string{"amazon", "aws", "aws_cloudtrail"}, "AWS Cloudtrail: "+k.service+".amazonaws.com - "+k.event+"."
		s.cloudTrail(sig, at, k, why(k.event))
	})
	s.each("elastic", "07:00:00", "08:45:00", 8, func(i int, at time.Time) {
		sig, k := tell(i+1, at)
		sig.id, sig.severity, sig.title, sig.text = "aws/"+k.event, "medium", "AWS change of rights or recovery: "+k.event, "A change in AWS that gives rights or removes a way to recover."
		s.elasticCloudTrail(sig, at, k, why(k.event))
	})
	s.each("splunk", "07:15:00", "08:15:00", 2, func(i int, at time.Time) {
		_, k := tell(8+i, at)
		s.splunk(signature{id: "aws-key", title: "Access key created or deleted", severity: "medium", techniques: []string{"T1098.001"}, text: "An access key of an IAM user was created or deleted."}, at, "change", object{
			"user": k.user, "src": k.ip, "src_ip": k.ip, "access_key_id": k.key, "command": k.event, "eventName": k.event, "eventSource": "iam.amazonaws.com", "userIdentity.type": "AssumedRole", "userIdentity.arn": k.arn(s.world), "object": "svc-" + app + "-smtp", "object_category": "user",
			"user_agent": k.agent, "vendor_account": s.awsAccount, "vendor_region": "us-east-1", "action": "modified", "status": "success", "orig_sourcetype": "aws:cloudtrail",
		}, why(k.event).on(nil, k.user))
	})
	s.each("sentinel", "07:20:00", "08:30:00", 2, func(i int, at time.Time) {
		_, k := tell(4*i, at)
		s.sentinel(signature{id: "aws-role", title: "Changes to AWS roles", severity: "low", techniques: []string{"T1098.003"}, text: "Roles or their trust policies were changed."}, at, scheduled, "", "",
			object{"Custom Details": text(object{"Operation": []string{k.event}, "Role": []string{role}, "UserAgent": []string{agent}, "AccessKeyId": []string{k.key}})}, []entity{{"Type": "account", "Name": k.user, "DisplayName": role + "/" + k.user}, ipEntity(k.ip), {"Type": "cloud-application", "Name": "Amazon Web Services", "AppId": 11599}},
			why(k.event).on(nil, k.user))
	})
}

// policy are signatures of the intrusion detection system that say what is used, 40 alerts.
func (s *story) policy() {
	type uses struct {
		sid        int
		name, cat  string
		src        *host
		dst        string
		port       int
		proto, app string
		sni, agent string
		why        string
	}
	cdn := func(n int) string { return fmt.Sprintf("198.51.100.%d", 110+n) }
	list := []uses{
		{2900601, "ET POLICY DNS over HTTPS to a public resolver", "Potential Corporate Privacy Violation", s.proxy, cdn(1), 443, "TCP", "tls", "doh.resolver.example", "", "the proxy resolves names for guests"},
		{2900602, "ET POLICY Package manager user agent", "Not Suspicious Traffic", s.buildLinux, cdn(2), 80, "TCP", "http", "packages.example", "Debian APT-HTTP/1.3 (2.7.14)", "the build server fetches packages"},
		{2900603, "ET POLICY Remote support software seen", "Potential Corporate Privacy Violation", s.mgmt, cdn(3), 443, "TCP", "tls", "relay.remote-support.example", "", "the helpdesk's remote support"},
		{2900604, "ET INFO Python client fetches an executable", "Misc activity", s.build, cdn(4), 443, "TCP", "http", "wheels.example", "python-requests/2.32.3", "the build fetches dependencies"},
		{2900605, "ET POLICY SMTP to many destinations", "Potential Corporate Privacy Violation", s.mail, cdn(5), 25, "TCP", "smtp", "", "", "the mail gateway delivers mail"},
		{2900606, "ET POLICY SNMP with a default community", "Attempted Information Leak", s.mgmt, s.app2.ip, 161, "UDP", "snmp", "", "", "monitoring asks printers and switches"},
		{2900607, "ET INFO Windows Remote Management request", "Misc activity", s.config, s.app1.ip, 5985, "TCP", "http", "", "Microsoft WinRM Client", "configuration management"},
		{2900608, "ET POLICY Cloud storage upload", "Potential Corporate Privacy Violation", s.backup2, cdn(6), 443, "TCP", "tls", "objects.storage.example", "", "copies of backups go off site"},
		{2900609, "ET INFO Update service over plain HTTP", "Not Suspicious Traffic", s.config, cdn(7), 80, "TCP", "http", "updates.vendor.example", "Microsoft-Delivery-Optimization/10.1", "the update server downloads"},
		{2900610, "ET POLICY File sharing service", "Potential Corporate Privacy Violation", s.desks[3], cdn(8), 443, "TCP", "tls", "share.files.example", "", "marketing sends pictures to a printer"},
		{2900611, "ET INFO Unusual port for TLS", "Misc activity", s.desks[4], cdn(9), 8443, "TCP", "tls", "portal.supplier.example", "", "a supplier's portal"},
		{2900612, "ET INFO Large number of DNS answers without a name", "Misc activity", s.dc2, cdn(1), 53, "UDP", "dns", "", "", "the name server forwards questions"},
	}
	why := func(u uses) Truth {
		return noise(KindIDS, "A policy signature: "+u.why+".").on(u.src, "")
	}
	s.each("wazuh", "06:51:00", "08:49:00", 24, func(i int, at time.Time) {
		u := ring(list, i)
		more := object{}
		if u.sni != "" && u.app == "tls" {
			more["tls"] = object{"sni": u.sni, "version": "TLS 1.3"}
		}
		if u.app == "http" {
			more["http"] = object{"hostname": or(u.sni, u.dst), "url": "/", "http_user_agent": u.agent, "http_method": "GET", "protocol": "HTTP/1.1", "status": "200"}
		}
		priority := 3
		if u.cat == "Potential Corporate Privacy Violation" || u.cat == "Attempted Information Leak" {
			priority = 2
		}
		s.suricata(ring([]*host{s.sensor, s.sensor2}, i), u.sid, u.name, u.cat, priority, at, u.src.ip, 41000+17*i, u.dst, u.port, u.proto, u.app, more, why(u))
		s.events[len(s.events)-1].Host = u.src.name
	})
	s.each("elastic", "06:52:00", "08:48:30", 12, func(i int, at time.Time) {
		u := ring(list, i+5)
		s.elastic(signature{id: "external-alert", title: u.name, severity: "low", text: "A signature of the intrusion detection system, promoted by the rule for external alerts."}, at, "suricata.eve", object{
			"event": object{"category": []string{"network", "intrusion_detection"}, "type": []string{"allowed"}, "action": "alert", "module": "suricata", "severity": 3}, "kibana.alert.original_event.kind": "alert", "kibana.alert.original_event.module": "suricata",
			"rule": object{"name": u.name, "id": fmt.Sprint(u.sid), "category": u.cat}, "suricata": object{"eve": object{"event_type": "alert", "alert": object{"signature_id": u.sid, "signature": u.name, "category": u.cat, "severity": 3, "action": "allowed", "rev": 3}, "in_iface": "ens224", "flow_id": s.digits(fmt.Sprint("flow", at), 16)}},
			"source": object{"ip": u.src.ip, "port": 42000 + 13*i, "address": u.src.ip}, "destination": object{"ip": u.dst, "port": u.port, "address": u.dst}, "network": object{"transport": map[string]string{"TCP": "tcp", "UDP": "udp"}[u.proto], "protocol": u.app, "direction": "outbound"},
			"observer": object{"name": s.sensor2.name, "type": "ids", "vendor": "OISF", "product": "Suricata"}, "agent": object{"type": "filebeat", "name": s.sensor2.name, "version": "8.15.2"}, "host": object{"name": s.sensor2.name},
		}, why(u))
	})
	s.each("splunk", "06:55:00", "08:47:00", 4, func(i int, at time.Time) {
		u := ring(slices.Clone(list[9:]), i)
		s.splunk(signature{id: "policy", title: "Policy signature of the intrusion detection system", severity: "low", text: "A signature of the class policy fired."}, at, "network", object{
			"src": u.src.ip, "src_ip": u.src.ip, "src_nt_host": u.src.name, "dest": u.dst, "dest_ip": u.dst, "dest_port": fmt.Sprint(u.port), "transport": map[string]string{"TCP": "tcp", "UDP": "udp"}[u.proto], "signature": u.name, "signature_id": fmt.Sprint(u.sid), "category": u.cat, "action": "allowed", "dvc": s.sensor.name,
			"ids_type": "network", "vendor_product": "Suricata", "orig_sourcetype": "suricata", "app": u.app,
		}, why(u))
	})
}
