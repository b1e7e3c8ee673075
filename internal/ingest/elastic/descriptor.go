package elastic

import (
	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

var descriptor = ingest.Descriptor{
	Name:          Name,
	Title:         "Elastic Security",
	Entities:      entities,
	Fields:        fields(),
	Text:          []string{"message", "event.original", "process.*", "file.*", "registry.*", "url.*", "dns.*", "email.*", "powershell.*", "winlog.event_data.*", "http.*", "kibana.alert.reason"},
	Skip:          []string{"kibana.alert.rule.*", "kibana.alert.ancestors.*", "signal.rule.*", "signal.parents.*", "signal.ancestors.*", "agent.id", "ecs.*", "elastic.*", "data_stream.*", "winlog.provider_guid", "rule.reference"},
	QueryLanguage: "ES|QL",
}

// entities maps ECS fields to entities. The principal ones are the reporting host, the acting
// account and the remote address.
var entities = []ingest.EntityPath{
	{Path: "host.name", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
	{Path: "host.hostname", Type: alert.Host, Role: alert.RoleDevice},
	{Path: "host.ip", Type: alert.IP, Role: alert.RoleDevice},
	{Path: "observer.name", Type: alert.Host, Role: alert.RoleDevice},
	{Path: "observer.hostname", Type: alert.Host, Role: alert.RoleDevice},
	{Path: "source.domain", Type: alert.Host, Role: alert.RoleSource},
	{Path: "destination.domain", Type: alert.DNS, Role: alert.RoleDestination},

	{Path: "user.name", Type: alert.Account, Role: alert.RoleSubject, Principal: true, Domain: "user.domain", Join: `\`},
	{Path: "user.email", Type: alert.Account, Role: alert.RoleSubject},
	{Path: "user.target.name", Type: alert.Account, Role: alert.RoleTarget, Domain: "user.target.domain", Join: `\`},
	{Path: "user.effective.name", Type: alert.Account, Role: alert.RoleTarget},
	{Path: "user.changes.name", Type: alert.Account, Role: alert.RoleTarget},
	{Path: "source.user.name", Type: alert.Account, Role: alert.RoleSubject},
	{Path: "destination.user.name", Type: alert.Account, Role: alert.RoleTarget},
	{Path: "client.user.name", Type: alert.Account, Role: alert.RoleSubject},
	{Path: "winlog.event_data.TargetUserName", Type: alert.Account, Role: alert.RoleTarget, Domain: "winlog.event_data.TargetDomainName", Join: `\`},
	{Path: "signal.original_event.user", Type: alert.Account, Role: alert.RoleSubject},

	{Path: "source.ip", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "destination.ip", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
	{Path: "client.ip", Type: alert.IP, Role: alert.RoleSource},
	{Path: "server.ip", Type: alert.IP, Role: alert.RoleDestination},
	{Path: "signal.original_event.source_ip", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "signal.original_event.dest_ip", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
	{Path: "winlog.event_data.IpAddress", Type: alert.IP, Role: alert.RoleSource},

	{Path: "process.executable", Type: alert.Process, Role: alert.RoleSubject},
	{Path: "process.name", Type: alert.Process, Role: alert.RoleSubject},
	{Path: "process.parent.executable", Type: alert.Process, Role: alert.RoleParent},
	{Path: "process.parent.name", Type: alert.Process, Role: alert.RoleParent},
	{Path: "Target.process.executable", Type: alert.Process, Role: alert.RoleTarget},
	{Path: "process.hash.sha256", Type: alert.FileHash}, {Path: "process.hash.sha1", Type: alert.FileHash}, {Path: "process.hash.md5", Type: alert.FileHash},
	{Path: "file.path", Type: alert.File, Role: alert.RoleTarget},
	{Path: "file.hash.sha256", Type: alert.FileHash}, {Path: "file.hash.sha1", Type: alert.FileHash}, {Path: "file.hash.md5", Type: alert.FileHash},
	{Path: "dll.path", Type: alert.File, Role: alert.RoleTarget},
	{Path: "dll.hash.sha256", Type: alert.FileHash}, {Path: "dll.hash.sha1", Type: alert.FileHash}, {Path: "dll.hash.md5", Type: alert.FileHash},
	{Path: "url.full", Type: alert.URL}, {Path: "url.original", Type: alert.URL}, {Path: "url.domain", Type: alert.DNS, Role: alert.RoleDestination},
	{Path: "dns.question.name", Type: alert.DNS, Role: alert.RoleDestination},
	{Path: "tls.client.server_name", Type: alert.DNS, Role: alert.RoleDestination},
	{Path: "registry.path", Type: alert.RegistryKey, Role: alert.RoleTarget},
	{Path: "email.from.address", Type: alert.Mailbox, Role: alert.RoleSource},
	{Path: "email.to.address", Type: alert.Mailbox, Role: alert.RoleDestination},
	{Path: "email.message_id", Type: alert.MailMessage},
	{Path: "group.name", Type: alert.SecurityGroup, Role: alert.RoleTarget},
	{Path: "cloud.service.name", Type: alert.CloudApplication},
}

// windows are names of Sigma's Windows taxonomy that Winlogbeat keeps under event_data.
var windows = []string{
	"AccessList", "AccessMask", "AccountName", "AllowedToDelegateTo", "AttributeLDAPDisplayName", "AttributeValue", "AuditPolicyChanges", "AuthenticationPackageName",
	"CallTrace", "CallerProcessName", "Company", "Consumer", "Contents", "ContextInfo", "Description", "Destination", "Details", "ElevatedToken", "EventType", "FailureReason",
	"FileVersion", "Filter", "GrantedAccess", "HostApplication", "Initiated", "ImpersonationLevel", "IntegrityLevel", "IpAddress", "IpPort", "KeyLength", "LogonGuid",
	"LogonId", "LogonProcessName", "LogonType", "MandatoryLabel", "MemberName", "MemberSid", "NewUacValue", "NewTargetUserName", "NewValue", "ObjectClass", "ObjectDN",
	"ObjectName", "ObjectServer", "ObjectType", "ObjectValueName", "OldTargetUserName", "Operation", "OperationType", "ParentUser", "Path", "Payload", "PipeName",
	"PreAuthType", "PrivilegeList", "ProcessName", "Product", "Properties", "Query", "QueryName", "QueryResults", "QueryStatus", "RelativeTargetName", "SamAccountName",
	"ScriptBlockId", "ScriptBlockText", "ServiceFileName", "ServiceName", "ServiceSid", "ServiceType", "ShareLocalPath", "ShareName", "SidHistory", "Signature",
	"SignatureStatus", "Signed", "SourceImage", "SourceProcessGUID", "SourceUser", "StartAddress", "StartFunction", "StartModule", "StartType", "Status", "SubStatus",
	"SubjectDomainName", "SubjectLogonId", "SubjectUserName", "SubjectUserSid", "TargetDomainName", "TargetImage", "TargetLogonId", "TargetProcessGUID",
	"TargetServerName", "TargetSid", "TargetUser", "TargetUserName", "TargetUserSid", "TaskContent", "TaskName", "TicketEncryptionType", "TicketOptions",
	"TokenElevationType", "UserAccountControl", "Workstation", "WorkstationName", "ImagePath", "ImageLoaded", "TargetFilename", "TargetObject", "Hashes",
	"Image", "CommandLine", "ParentImage", "ParentCommandLine", "User", "OriginalFileName", "CurrentDirectory", "NewProcessName", "ParentProcessName", "ProcessGuid", "ParentProcessGuid",
	"DestinationIp", "DestinationPort", "DestinationHostname", "SourceIp", "SourcePort", "Protocol", "RuleName",
}

// ecs are the names that ECS has for Sigma's fields; they come before those of event_data.
var ecs = map[string][]string{
	"Image": {"process.executable"}, "CommandLine": {"process.command_line"}, "ParentImage": {"process.parent.executable"},
	"ParentCommandLine": {"process.parent.command_line"}, "OriginalFileName": {"process.pe.original_file_name", "file.pe.original_file_name", "dll.pe.original_file_name"},
	"CurrentDirectory": {"process.working_directory"}, "User": {"user.name"}, "ProcessId": {"process.pid"}, "ParentProcessId": {"process.parent.pid"},
	"ProcessGuid": {"process.entity_id"}, "ParentProcessGuid": {"process.parent.entity_id"},
	"IntegrityLevel": {"process.Ext.token.integrity_level_name"}, "Company": {"process.pe.company"}, "Product": {"process.pe.product"}, "Description": {"process.pe.description"},
	"Hashes": {"process.hash.sha256", "process.hash.md5", "process.hash.sha1", "file.hash.sha256"}, "sha256": {"process.hash.sha256", "file.hash.sha256"},
	"sha1": {"process.hash.sha1", "file.hash.sha1"}, "md5": {"process.hash.md5", "file.hash.md5"}, "Imphash": {"process.pe.imphash"},
	"TargetFilename": {"file.path"}, "TargetObject": {"registry.path"}, "Details": {"registry.data.strings", "registry.value"}, "ImageLoaded": {"dll.path", "file.path"},
	"Signed": {"process.code_signature.exists", "dll.code_signature.exists"}, "Signature": {"process.code_signature.subject_name", "dll.code_signature.subject_name"},
	"SignatureStatus": {"process.code_signature.status", "dll.code_signature.status"}, "PipeName": {"file.name"}, "ScriptBlockText": {"powershell.file.script_block_text"},
	"SourceIp": {"source.ip"}, "SourcePort": {"source.port"}, "DestinationIp": {"destination.ip"}, "DestinationPort": {"destination.port"},
	"DestinationHostname": {"destination.domain", "url.domain"}, "SourceHostname": {"source.domain"}, "Protocol": {"network.transport", "network.protocol"}, "QueryName": {"dns.question.name"},
	"Initiated": {"network.initiated"}, "IpAddress": {"source.ip"}, "IpPort": {"source.port"}, "ServiceName": {"service.name"},
	"EventID": {"winlog.event_id", "event.code"}, "Channel": {"winlog.channel"}, "Provider_Name": {"winlog.provider_name", "event.provider"},
	"Computer": {"winlog.computer_name", "host.name"}, "ComputerName": {"winlog.computer_name", "host.name"}, "Hostname": {"host.name", "host.hostname"}, "Keywords": {"winlog.keywords"}, "Message": {"message"}, "message": {"message"},

	"exe": {"process.executable", "auditd.data.exe"}, "comm": {"process.name", "auditd.data.comm"}, "type": {"auditd.message_type", "event.action"}, "key": {"auditd.data.key"}, "syscall": {"auditd.data.syscall"},
	"name": {"file.path", "auditd.paths.name"}, "a0": {"auditd.data.a0"}, "a1": {"auditd.data.a1"}, "a2": {"auditd.data.a2"}, "a3": {"auditd.data.a3"},

	"c-uri": {"url.original", "url.full", "url.path"}, "cs-uri": {"url.original", "url.full"}, "cs-uri-stem": {"url.path", "url.original"}, "cs-uri-query": {"url.query", "url.original"},
	"cs-method": {"http.request.method"}, "sc-status": {"http.response.status_code"}, "c-ip": {"source.ip", "client.ip"}, "c-useragent": {"user_agent.original"},
	"cs-user-agent": {"user_agent.original"}, "cs-host": {"url.domain"}, "cs-referer": {"http.request.referrer"}, "r-dns": {"url.domain"},

	"signature": {"rule.name", "suricata.eve.alert.signature"}, "signature_id": {"rule.id", "suricata.eve.alert.signature_id"}, "category": {"rule.category", "suricata.eve.alert.category", "event.category"}, "action": {"event.action"},
	"src_ip": {"source.ip"}, "src_port": {"source.port"}, "dst_ip": {"destination.ip"}, "dst_port": {"destination.port"},
	"query": {"dns.question.name"}, "record_type": {"dns.question.type"}, "answer": {"dns.answers.data", "dns.resolved_ip"},

	"eventName": {"event.action"}, "eventSource": {"event.provider"}, "errorCode": {"aws.cloudtrail.error_code"}, "errorMessage": {"aws.cloudtrail.error_message"},
	"sourceIPAddress": {"source.ip"}, "userAgent": {"user_agent.original"}, "userIdentity.type": {"aws.cloudtrail.user_identity.type"}, "userIdentity.arn": {"aws.cloudtrail.user_identity.arn"},
	"userIdentity.userName": {"user.name"}, "additionalEventData.MFAUsed": {"aws.cloudtrail.console_login.additional_eventdata.mfa_used"},
	"Operation": {"event.action"}, "Workload": {"event.provider"}, "UserId": {"user.id"}, "ClientIP": {"client.ip", "source.ip"}, "ResultStatus": {"event.outcome"},
	"operationName": {"event.action", "azure.auditlogs.operation_name"}, "OperationName": {"event.action", "azure.activitylogs.operation_name"}, "properties.message": {"event.action"},
	"eventType": {"event.action", "okta.event_type"}, "eventtype": {"event.action", "okta.event_type"}, "displaymessage": {"okta.display_message"}, "riskEventType": {"azure.identityprotection.properties.risk_event_type"},
	"ResultType": {"azure.signinlogs.properties.status.error_code", "azure.signinlogs.result_type"}, "AppDisplayName": {"azure.signinlogs.properties.app_display_name"}, "ClientAppUsed": {"azure.signinlogs.properties.client_app_used"},
	"gcp.audit.method_name": {"event.action"}, "verb": {"kubernetes.audit.verb"}, "objectRef.resource": {"kubernetes.audit.objectRef.resource"}, "objectRef.subresource": {"kubernetes.audit.objectRef.subresource"},
	"objectRef.namespace": {"kubernetes.audit.objectRef.namespace"},
}

// fields maps Sigma's taxonomies to native paths.
func fields() map[string][]string {
	m := make(map[string][]string, len(ecs)+len(windows))
	for name, paths := range ecs {
		m[name] = append(m[name], paths...)
	}
	for _, name := range windows {
		m[name] = append(m[name], "winlog.event_data."+name)
	}
	return m
}
