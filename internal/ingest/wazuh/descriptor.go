package wazuh

import (
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

var descriptor = ingest.Descriptor{
	Name:          Name,
	Title:         "Wazuh",
	Entities:      entities,
	Fields:        fields(),
	Text:          []string{"data.*", "full_log", "syscheck.*", "rule.description", "previous_output"},
	Skip:          []string{"rule.info", "rule.mitre.*", "decoder.*", "manager.*", "cluster.*", "location", "_index", "input.*", "data.win.system.message", "data.win.system.providerGuid", "data.virustotal.permalink", "data.vulnerability.reference", "data.vulnerability.references"},
	QueryLanguage: "Wazuh",
}

// entities maps native paths to entities. The principal ones are the reporting host, the
// acting account and the remote address.
var entities = []ingest.EntityPath{
	{Path: "agent.name", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
	{Path: "agent.ip", Type: alert.IP, Role: alert.RoleDevice},
	{Path: "predecoder.hostname", Type: alert.Host, Role: alert.RoleDevice},
	{Path: "data.win.system.computer", Type: alert.Host, Role: alert.RoleDevice},

	{Path: "data.win.eventdata.user", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.win.eventdata.sourceUser", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.win.eventdata.targetUser", Type: alert.Account, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.parentUser", Type: alert.Account, Role: alert.RoleParent},
	{Path: "data.win.eventdata.subjectUserName", Type: alert.Account, Role: alert.RoleSubject, Principal: true, Domain: "data.win.eventdata.subjectDomainName", Join: `\`},
	{Path: "data.win.eventdata.targetUserName", Type: alert.Account, Role: alert.RoleTarget, Principal: true, Domain: "data.win.eventdata.targetDomainName", Join: `\`},
	{Path: "data.win.eventdata.accountName", Type: alert.Account, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.samAccountName", Type: alert.Account, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.memberName", Type: alert.Account, Role: alert.RoleTarget},
	{Path: "data.srcuser", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.dstuser", Type: alert.Account, Role: alert.RoleTarget, Principal: true},
	{Path: "data.user", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.uname", Type: alert.Account, Role: alert.RoleSubject},
	{Path: "data.aws.userIdentity.userName", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.aws.userIdentity.arn", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.aws.resource.accessKeyDetails.userName", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.office365.UserId", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.azure.identity", Type: alert.Account, Role: alert.RoleSubject},
	{Path: "data.azure.properties.userPrincipalName", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.gcp.protoPayload.authenticationInfo.principalEmail", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "data.github.actor", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "syscheck.audit.user.name", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
	{Path: "syscheck.uname_after", Type: alert.Account},

	{Path: "data.win.eventdata.image", Type: alert.Process, Role: alert.RoleSubject},
	{Path: "data.win.eventdata.newProcessName", Type: alert.Process, Role: alert.RoleSubject},
	{Path: "data.win.eventdata.processName", Type: alert.Process, Role: alert.RoleSubject},
	{Path: "data.win.eventdata.sourceImage", Type: alert.Process, Role: alert.RoleSubject},
	{Path: "data.win.eventdata.targetImage", Type: alert.Process, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.parentImage", Type: alert.Process, Role: alert.RoleParent},
	{Path: "data.win.eventdata.parentProcessName", Type: alert.Process, Role: alert.RoleParent},
	{Path: "data.audit.exe", Type: alert.Process, Role: alert.RoleSubject},
	{Path: "syscheck.audit.process.name", Type: alert.Process, Role: alert.RoleSubject},

	{Path: "data.win.eventdata.targetFilename", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.imageLoaded", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.imagePath", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.serviceFileName", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.relativeTargetName", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.path", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.audit.file.name", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.file", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.virustotal.source.file", Type: alert.File, Role: alert.RoleTarget},
	{Path: "data.files.filename", Type: alert.File},
	{Path: "syscheck.path", Type: alert.File, Role: alert.RoleTarget},

	{Path: "data.win.eventdata.hashes", Type: alert.FileHash},
	{Path: "data.win.eventdata.hash", Type: alert.FileHash},
	{Path: "syscheck.sha256_after", Type: alert.FileHash},
	{Path: "syscheck.sha1_after", Type: alert.FileHash},
	{Path: "syscheck.md5_after", Type: alert.FileHash},
	{Path: "data.virustotal.source.sha1", Type: alert.FileHash},
	{Path: "data.virustotal.source.md5", Type: alert.FileHash},

	{Path: "data.win.eventdata.ipAddress", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.win.eventdata.sourceIp", Type: alert.IP, Role: alert.RoleSource},
	{Path: "data.win.eventdata.destinationIp", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
	{Path: "data.srcip", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.dstip", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
	{Path: "data.src_ip", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.dest_ip", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
	{Path: "data.aws.sourceIPAddress", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.aws.source_ip_address", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.aws.service.action.networkConnectionAction.remoteIpDetails.ipAddressV4", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.aws.service.action.awsApiCallAction.remoteIpDetails.ipAddressV4", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.aws.service.action.portProbeAction.portProbeDetails.remoteIpDetails.ipAddressV4", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.office365.ClientIP", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.azure.callerIpAddress", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.gcp.protoPayload.requestMetadata.callerIp", Type: alert.IP, Role: alert.RoleSource, Principal: true},
	{Path: "data.github.actor_ip", Type: alert.IP, Role: alert.RoleSource, Principal: true},

	{Path: "data.win.eventdata.workstationName", Type: alert.Host, Role: alert.RoleSource},
	{Path: "data.win.eventdata.destinationHostname", Type: alert.Host, Role: alert.RoleDestination},
	{Path: "data.aws.resource.instanceDetails.instanceId", Type: alert.Host, Role: alert.RoleTarget, Principal: true},
	{Path: "data.win.eventdata.queryName", Type: alert.DNS, Role: alert.RoleDestination},
	{Path: "data.dns.query.rrname", Type: alert.DNS, Role: alert.RoleDestination},
	{Path: "data.tls.sni", Type: alert.DNS, Role: alert.RoleDestination},
	{Path: "data.http.hostname", Type: alert.DNS, Role: alert.RoleDestination},
	{Path: "data.url", Type: alert.URL},
	{Path: "data.http.url", Type: alert.URL},
	{Path: "data.win.eventdata.targetObject", Type: alert.RegistryKey, Role: alert.RoleTarget},
	{Path: "data.win.eventdata.targetSid", Type: alert.SecurityGroup, Role: alert.RoleTarget},
	{Path: "data.office365.ApplicationId", Type: alert.CloudApplication},
	{Path: "data.office365.MailboxOwnerUPN", Type: alert.Mailbox, Role: alert.RoleTarget},
	{Path: "data.office365.InternetMessageId", Type: alert.MailMessage},
	{Path: "data.win.eventdata.threat Name", Type: alert.Malware},
}

// windows are the names of Sigma's Windows taxonomy that Wazuh keeps with a small first letter.
var windows = []string{
	"OriginalFileName", "ParentCommandLine", "ParentUser", "IntegrityLevel", "Hashes", "Hash", "Product", "Company", "Description",
	"FileVersion", "CurrentDirectory", "LogonGuid", "LogonId", "TerminalSessionId", "ProcessGuid", "ProcessId", "ParentProcessGuid",
	"ParentProcessId", "RuleName", "TargetFilename", "TargetObject", "Details", "EventType", "NewName", "ImageLoaded", "Signed",
	"Signature", "SignatureStatus", "PipeName", "ScriptBlockText", "ScriptBlockId", "Path", "Payload", "ContextInfo", "HostApplication",
	"HostName", "HostVersion", "EngineVersion", "ServiceName", "ImagePath", "ServiceFileName", "ServiceType", "StartType", "AccountName",
	"LogonType", "LogonProcessName", "TargetUserName", "TargetDomainName", "TargetUserSid", "TargetSid", "TargetLogonId",
	"TargetServerName", "TargetInfo", "TargetOutboundUserName", "SubjectUserName", "SubjectDomainName", "SubjectUserSid",
	"SubjectLogonId", "IpAddress", "IpPort", "WorkstationName", "Workstation", "AuthenticationPackageName", "LmPackageName", "KeyLength",
	"TicketEncryptionType", "TicketOptions", "ServiceSid", "PreAuthType", "Status", "SubStatus", "FailureReason", "ElevatedToken",
	"ImpersonationLevel", "ObjectName", "ObjectType", "ObjectServer", "ObjectClass", "ObjectDN", "ObjectValueName", "AccessMask",
	"AccessList", "Accesses", "Properties", "HandleId", "ShareName", "ShareLocalPath", "RelativeTargetName", "GrantedAccess", "SourceImage", "TargetImage",
	"CallTrace", "SourceProcessGUID", "SourceProcessId", "TargetProcessGUID", "TargetProcessId", "SourceUser", "TargetUser", "NewThreadId", "StartAddress", "StartModule", "StartFunction",
	"DestinationIp", "DestinationPort", "DestinationHostname", "DestinationIsIpv6", "SourceIp", "SourcePort", "SourceHostname",
	"SourceIsIpv6", "Initiated", "Protocol", "QueryName", "QueryStatus", "QueryResults", "Contents", "Device", "Configuration",
	"ConfigurationFileHash", "State", "Version", "SchemaVersion", "CreationUtcTime", "PreviousCreationUtcTime", "IsExecutable", "Archived",
	"PrivilegeList", "EnabledPrivilegeList", "MemberName", "MemberSid", "SamAccountName", "SidHistory", "AllowedToDelegateTo", "UserAccountControl",
	"OldUacValue", "NewUacValue", "OldTargetUserName", "NewTargetUserName", "AttributeLDAPDisplayName", "AttributeValue", "OperationType", "AuditPolicyChanges",
	"CategoryId", "SubcategoryGuid", "AuditSourceName", "TaskName", "TaskContent", "NewProcessName", "NewProcessId", "ParentProcessName",
	"TokenElevationType", "MandatoryLabel", "ProcessName", "CallerProcessName", "CallerProcessId", "Operation", "Query", "Consumer", "Filter", "Destination",
	"Type", "Name", "EventNamespace", "UserName", "User", "Image", "CommandLine", "ParentImage", "FileName", "FilePath", "Param1", "Param2", "Param3", "Data", "Binary",
	"Url", "LocalName", "RemoteName", "ProcessPath", "ApplicationPath", "ModifyingApplication", "LayerRTID", "Application", "ServerName", "ClientProcessId",
	"NewValue", "OldValue", "Value", "HiveName", "Address", "PossibleCause", "ErrorCode", "FileNameBuffer", "ProcessNameBuffer", "PackageSourceUri", "PackageFullName", "HasFullTrust",
	"CallingProcess", "DeviceDescription", "DeviceName", "ClassName", "FilterName", "Attributes", "TemplateContent", "NewTemplateContent", "TaskContentNew", "PluginDllName", "TargetName",
	"ParentIntegrityLevel", "RequestedPolicy", "ValidatedPolicy", "JobTitle", "Param4", "Param5", "ServicePrincipalNames", "DSName", "SidList", "ClientMachine", "ResultCode", "ActionName",
}

// fields maps Sigma's taxonomies to native paths.
func fields() map[string][]string {
	m := make(map[string][]string, len(windows)+80)
	for _, name := range windows {
		m[name] = []string{eventdata + strings.ToLower(name[:1]) + name[1:]}
	}
	for name, paths := range further {
		m[name] = append(m[name], paths...)
	}
	return m
}

// further are paths that come after those of windows, or that Wazuh names otherwise.
var further = map[string][]string{
	"Image":            {"data.win.eventdata.newProcessName", "data.win.eventdata.processName", "data.audit.exe", "syscheck.audit.process.name"},
	"CommandLine":      {"data.win.eventdata.processCommandLine", "data.command", "data.audit.proctitle"},
	"ParentImage":      {"data.win.eventdata.parentProcessName", "syscheck.audit.process.parent_name"},
	"User":             {"data.win.eventdata.subjectUserName", "data.win.eventdata.accountName", "data.srcuser", "data.dstuser", "data.uname"},
	"ProcessId":        {"data.win.eventdata.newProcessId", "data.audit.pid"},
	"ParentProcessId":  {"data.audit.ppid"},
	"IntegrityLevel":   {"data.win.eventdata.mandatoryLabel"},
	"LogonId":          {"data.win.eventdata.subjectLogonId"},
	"CurrentDirectory": {"data.audit.cwd", "data.pwd"},
	"ImagePath":        {"data.win.eventdata.serviceFileName"},
	"ServiceFileName":  {"data.win.eventdata.imagePath"},
	"TargetFilename":   {"syscheck.path", "data.audit.file.name", "data.file"},
	"TargetObject":     {"syscheck.path"},
	"Details":          {"data.win.eventdata.newValue"},
	"NewValue":         {"data.win.eventdata.new Value"},
	"OldValue":         {"data.win.eventdata.old Value"},
	"SourceIp":         {"data.srcip", "data.src_ip"},
	"SourcePort":       {"data.srcport", "data.src_port"},
	"DestinationIp":    {"data.dstip", "data.dest_ip"},
	"DestinationPort":  {"data.dstport", "data.dest_port"},
	"Protocol":         {"data.proto"},
	"QueryName":        {"data.dns.query.rrname", "data.dns.rrname"},
	"Hashes":           {"data.win.eventdata.hash"},
	"Status":           {"data.status"},
	"sha256":           {"syscheck.sha256_after"},
	"sha1":             {"syscheck.sha1_after", "data.virustotal.source.sha1"},
	"md5":              {"syscheck.md5_after", "data.virustotal.source.md5"},

	"Channel":       {"data.win.system.channel"},
	"EventID":       {"data.win.system.eventID"},
	"Provider_Name": {"data.win.system.providerName"},
	"Provider_Guid": {"data.win.system.providerGuid"},
	"Computer":      {"data.win.system.computer", "agent.name"},
	"ComputerName":  {"data.win.system.computer", "agent.name"},
	"Hostname":      {"data.win.system.computer", "predecoder.hostname", "agent.name"},
	"Level":         {"data.win.system.level"},
	"Keywords":      {"data.win.system.keywords"},
	"Message":       {"data.win.system.message", "full_log"},
	"EventSource":   {"data.win.system.eventSourceName"},

	"type": {"data.audit.type"}, "exe": {"data.audit.exe"}, "comm": {"data.audit.command"}, "key": {"data.audit.key"},
	"syscall": {"data.audit.syscall"}, "SYSCALL": {"data.audit.syscall"}, "auid": {"data.audit.auid"}, "uid": {"data.audit.uid"},
	"euid": {"data.audit.euid"}, "success": {"data.audit.success"}, "exit": {"data.audit.exit"}, "cwd": {"data.audit.cwd"},
	"name": {"data.audit.file.name"}, "path": {"data.audit.file.name", "syscheck.path"}, "tty": {"data.audit.tty", "data.tty"},
	"a0": {"data.audit.execve.a0"}, "a1": {"data.audit.execve.a1"}, "a2": {"data.audit.execve.a2"}, "a3": {"data.audit.execve.a3"},
	"a4": {"data.audit.execve.a4"}, "a5": {"data.audit.execve.a5"}, "a6": {"data.audit.execve.a6"}, "a7": {"data.audit.execve.a7"},
	"program": {"predecoder.program_name"}, "process": {"predecoder.program_name"}, "message": {"full_log", "data.win.system.message"},

	"c-uri": {"data.url", "data.http.url"}, "cs-uri": {"data.url", "data.http.url"}, "cs-uri-stem": {"data.url", "data.http.url"}, "cs-uri-query": {"data.url", "data.http.url"},
	"cs-method": {"data.protocol", "data.http.http_method"}, "sc-status": {"data.id", "data.http.status"}, "c-ip": {"data.srcip", "data.src_ip"},
	"c-useragent": {"data.browser", "data.http.http_user_agent"}, "cs-user-agent": {"data.browser", "data.http.http_user_agent"}, "cs-host": {"data.http.hostname"},
	"cs-referer": {"data.http.http_refer"}, "r-dns": {"data.http.hostname"},

	"signature": {"data.alert.signature"}, "signature_id": {"data.alert.signature_id"}, "category": {"data.alert.category"}, "action": {"data.alert.action", "data.action"},
	"severity": {"data.alert.severity"}, "app_proto": {"data.app_proto"}, "direction": {"data.direction"},
	"src_ip": {"data.src_ip", "data.srcip"}, "src_port": {"data.src_port", "data.srcport"}, "dst_ip": {"data.dest_ip", "data.dstip"}, "dst_port": {"data.dest_port", "data.dstport"},
	"query": {"data.dns.query.rrname", "data.dns.rrname"}, "record_type": {"data.dns.query.rrtype", "data.dns.rrtype"}, "answer": {"data.dns.answers.rdata"},

	"eventSource": {"data.aws.eventSource"}, "eventName": {"data.aws.eventName"}, "errorCode": {"data.aws.errorCode"}, "errorMessage": {"data.aws.errorMessage"},
	"sourceIPAddress": {"data.aws.sourceIPAddress"}, "userAgent": {"data.aws.userAgent"}, "eventType": {"data.aws.eventType"}, "awsRegion": {"data.aws.awsRegion"},
	"userIdentity.type": {"data.aws.userIdentity.type"}, "userIdentity.arn": {"data.aws.userIdentity.arn"}, "userIdentity.userName": {"data.aws.userIdentity.userName"},
	"userIdentity.principalId": {"data.aws.userIdentity.principalId"}, "userIdentity.invokedBy": {"data.aws.userIdentity.invokedBy"},
	"userIdentity.sessionContext.attributes.mfaAuthenticated": {"data.aws.userIdentity.sessionContext.attributes.mfaAuthenticated"},
	"additionalEventData.MFAUsed":                             {"data.aws.additionalEventData.MFAUsed"},
	"requestParameters.userName":                              {"data.aws.requestParameters.userName"},
	"requestParameters.policyArn":                             {"data.aws.requestParameters.policyArn"},
	"requestParameters.attribute":                             {"data.aws.requestParameters.attribute"},
	"requestParameters.bucketName":                            {"data.aws.requestParameters.bucketName"},
	"requestParameters.instanceType":                          {"data.aws.requestParameters.instanceType"},
	"responseElements.ConsoleLogin":                           {"data.aws.responseElements.ConsoleLogin"},
	"responseElements.accessKey.userName":                     {"data.aws.responseElements.accessKey.userName"},

	"Operation": {"data.office365.Operation"}, "Workload": {"data.office365.Workload"}, "ResultStatus": {"data.office365.ResultStatus"},
	"UserId": {"data.office365.UserId"}, "ClientIP": {"data.office365.ClientIP"}, "RecordType": {"data.office365.RecordType"}, "ObjectId": {"data.office365.ObjectId"},
	"operationName": {"data.azure.operationName"}, "OperationName": {"data.azure.operationName"}, "properties.message": {"data.azure.operationName"},
	"gcp.audit.method_name": {"data.gcp.protoPayload.methodName"}, "data.protoPayload.methodName": {"data.gcp.protoPayload.methodName"},
}
