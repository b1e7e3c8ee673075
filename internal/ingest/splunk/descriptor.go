package splunk

import (
	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// The names are those of Splunk's Common Information Model; fields that a search passes on
// under their native names are found by those.
var descriptor = ingest.Descriptor{
	Name:  Name,
	Title: "Splunk Enterprise Security",
	Entities: []ingest.EntityPath{
		{Path: "dest", Type: alert.Host, Role: alert.RoleDestination, Principal: true},
		{Path: "dest_host", Type: alert.Host, Role: alert.RoleDestination, Principal: true},
		{Path: "dest_nt_host", Type: alert.Host, Role: alert.RoleDestination},
		{Path: "dest_dns", Type: alert.Host, Role: alert.RoleDestination},
		{Path: "dest_ip", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
		{Path: "src", Type: alert.Host, Role: alert.RoleSource, Principal: true},
		{Path: "src_host", Type: alert.Host, Role: alert.RoleSource, Principal: true},
		{Path: "src_nt_host", Type: alert.Host, Role: alert.RoleSource},
		{Path: "src_dns", Type: alert.Host, Role: alert.RoleSource},
		{Path: "src_ip", Type: alert.IP, Role: alert.RoleSource, Principal: true},
		{Path: "dvc", Type: alert.Host, Role: alert.RoleDevice},
		{Path: "orig_host", Type: alert.Host, Role: alert.RoleDevice},
		{Path: "user", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
		{Path: "src_user", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
		{Path: "dest_user", Type: alert.Account, Role: alert.RoleTarget},
		{Path: "user_email", Type: alert.Account, Role: alert.RoleSubject},
		{Path: "process_name", Type: alert.Process, Role: alert.RoleSubject},
		{Path: "process_path", Type: alert.Process, Role: alert.RoleSubject},
		{Path: "parent_process_name", Type: alert.Process, Role: alert.RoleParent},
		{Path: "parent_process_path", Type: alert.Process, Role: alert.RoleParent},
		{Path: "file_path", Type: alert.File, Role: alert.RoleTarget},
		{Path: "file_name", Type: alert.File, Role: alert.RoleTarget},
		{Path: "file_hash", Type: alert.FileHash},
		{Path: "process_hash", Type: alert.FileHash},
		{Path: "url", Type: alert.URL},
		{Path: "url_domain", Type: alert.DNS, Role: alert.RoleDestination},
		{Path: "query", Type: alert.DNS, Role: alert.RoleDestination},
		{Path: "registry_path", Type: alert.RegistryKey, Role: alert.RoleTarget},
		{Path: "recipient", Type: alert.Mailbox, Role: alert.RoleDestination},
		{Path: "message_id", Type: alert.MailMessage},
		{Path: "app", Type: alert.CloudApplication},
	},
	Fields:        fields(),
	Text:          []string{"search_name", "rule_title", "rule_description", "description", "process", "parent_process", "command", "cmdline", "file_path", "url", "query", "risk_message", "threat_object", "_raw", "orig_raw"},
	Skip:          []string{"drilldown_search", "drilldown_searches", "contributing_events_search", "next_steps", "recommended_actions", "results_link", "info_search_time", "annotations.*", "splunk_server", "_bkt", "_cd", "orig_sid", "sid"},
	QueryLanguage: "SPL",
}

// native are the names of Sigma's taxonomy that searches pass on unchanged.
var native = []string{
	"Image", "CommandLine", "ParentImage", "ParentCommandLine", "OriginalFileName", "User", "ParentUser", "IntegrityLevel", "Hashes", "TargetFilename", "TargetObject",
	"Details", "EventType", "ImageLoaded", "Signed", "Signature", "SignatureStatus", "PipeName", "ScriptBlockText", "ServiceName", "ImagePath", "ServiceFileName",
	"AccountName", "LogonType", "TargetUserName", "SubjectUserName", "IpAddress", "WorkstationName", "AuthenticationPackageName", "TicketEncryptionType", "ServiceSid",
	"ObjectName", "AccessMask", "GrantedAccess", "SourceImage", "TargetImage", "CallTrace", "DestinationIp", "DestinationPort", "DestinationHostname", "SourceIp", "SourcePort",
	"QueryName", "Channel", "EventID", "Provider_Name", "Computer", "Hostname", "Status", "SubStatus", "ShareName", "RelativeTargetName", "TaskName", "Properties", "Initiated", "Company",
	"Product", "Description", "eventName", "eventSource", "errorCode", "errorMessage", "userAgent", "sourceIPAddress", "userIdentity.type", "userIdentity.arn", "Operation", "Workload", "UserId", "ClientIP",
	"operationName", "OperationName", "ResultType", "riskEventType", "eventType", "displaymessage", "verb",
}

// cim are the names of the Common Information Model for Sigma's fields.
var cim = map[string][]string{
	"Image": {"process_path", "process_exec", "process_name"}, "CommandLine": {"process", "cmdline", "command"}, "ParentImage": {"parent_process_path", "parent_process_exec", "parent_process_name"},
	"ParentCommandLine": {"parent_process"}, "OriginalFileName": {"original_file_name"}, "User": {"user"}, "IntegrityLevel": {"process_integrity_level"}, "CurrentDirectory": {"process_current_directory"},
	"Hashes": {"process_hash", "file_hash"}, "TargetFilename": {"file_path", "file_name"}, "TargetObject": {"registry_path", "registry_key_name"}, "Details": {"registry_value_data"}, "EventType": {"registry_value_type", "action"},
	"ImageLoaded": {"loaded_file", "file_path"}, "Signature": {"service_signature", "process_signature"}, "PipeName": {"pipe_name"}, "ScriptBlockText": {"script_block_text"},
	"ServiceName": {"service_name", "service"}, "ImagePath": {"service_path", "service_exec"}, "ServiceFileName": {"service_path", "service_exec"}, "LogonType": {"Logon_Type", "logon_type"}, "TargetUserName": {"user"}, "SubjectUserName": {"src_user"},
	"IpAddress": {"src_ip", "src"}, "WorkstationName": {"src_nt_host", "src"}, "AuthenticationPackageName": {"authentication_method"}, "DestinationIp": {"dest_ip", "dest"}, "DestinationPort": {"dest_port"},
	"DestinationHostname": {"dest_host", "url_domain", "dest"}, "SourceIp": {"src_ip", "src"}, "SourcePort": {"src_port"}, "QueryName": {"query"}, "EventID": {"EventCode", "signature_id"}, "Channel": {"LogName"},
	"Provider_Name": {"SourceName"}, "Computer": {"ComputerName", "dest", "dvc"}, "ComputerName": {"ComputerName", "dest", "dvc"}, "Hostname": {"dest", "dvc"}, "Status": {"result_id", "status"}, "ShareName": {"share", "Share_Name"},
	"c-uri": {"url", "uri_path"}, "cs-uri": {"url"}, "cs-uri-stem": {"uri_path", "url"}, "cs-uri-query": {"uri_query", "url"}, "cs-method": {"http_method"}, "sc-status": {"status"}, "c-ip": {"src_ip", "src"}, "c-useragent": {"http_user_agent"},
	"cs-user-agent": {"http_user_agent"}, "cs-host": {"site", "url_domain"}, "cs-referer": {"http_referrer"}, "r-dns": {"url_domain"},
	"signature": {"signature"}, "signature_id": {"signature_id"}, "category": {"category"}, "action": {"action"}, "src_ip": {"src_ip", "src"}, "src_port": {"src_port"}, "dst_ip": {"dest_ip", "dest"}, "dst_port": {"dest_port"},
	"query": {"query"}, "record_type": {"record_type"}, "answer": {"answer"}, "exe": {"process_path"}, "comm": {"process_name"}, "message": {"_raw", "description"},
	"eventName": {"command", "change_action"}, "userAgent": {"user_agent", "http_user_agent"}, "sourceIPAddress": {"src_ip", "src"}, "errorCode": {"result"},
}

// fields maps Sigma's taxonomies to native paths.
func fields() map[string][]string {
	m := make(map[string][]string, len(cim)+len(native))
	for _, name := range native {
		m[name] = []string{name}
	}
	for name, paths := range cim {
		m[name] = append(m[name], paths...)
	}
	return m
}
