package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// call is one call of the AWS API.
type call struct {
	service, event string
	user, role     string // an IAM user, or the session of a role
	key, ip, agent string
	request        object
	response       object
	failure        string
	globally       bool // of a service without regions
}

func (c call) kind() string {
	if c.role != "" {
		return "AssumedRole"
	}
	return "IAMUser"
}

func (c call) region() string {
	if c.globally || c.service == "iam" || c.service == "sts" {
		return "us-east-1"
	}
	return "eu-north-1"
}

func (c call) arn(w *world) string {
	if c.role != "" {
		return "arn:aws:sts::" + w.awsAccount + ":assumed-role/" + c.role + "/" + c.user
	}
	return "arn:aws:iam::" + w.awsAccount + ":user/" + c.user
}

// trail is the call as CloudTrail records it.
func (c call) trail(w *world, at time.Time) object {
	who := object{"type": c.kind(), "arn": c.arn(w), "accountId": w.awsAccount, "accessKeyId": c.key, "principalId": strings.ToUpper("AIDA" + w.digest("principal/"+c.user, 17))}
	if c.role != "" {
		who["principalId"] = strings.ToUpper("AROA"+w.digest("principal/"+c.role, 17)) + ":" + c.user
		who["sessionContext"] = object{
			"sessionIssuer": object{"type": "Role", "arn": "arn:aws:iam::" + w.awsAccount + ":role/" + c.role, "userName": c.role, "accountId": w.awsAccount},
			"attributes":    object{"creationDate": at.Add(-9 * time.Minute).Format(time.RFC3339), "mfaAuthenticated": "false"},
		}
	} else {
		who["userName"] = c.user
	}
	o := object{
		"eventVersion": "1.09", "eventTime": at.Format(time.RFC3339), "eventSource": c.service + ".amazonaws.com", "eventName": c.event, "awsRegion": c.region(), "sourceIPAddress": c.ip, "userAgent": c.agent,
		"eventID": w.guid(fmt.Sprint("event", c.event, at)), "requestID": w.guid(fmt.Sprint("request", c.event, at)), "eventType": "AwsApiCall", "eventCategory": "Management", "managementEvent": "true",
		"readOnly": fmt.Sprint(c.response == nil), "recipientAccountId": w.awsAccount, "userIdentity": who,
		"tlsDetails": object{"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": c.service + ".amazonaws.com"},
	}
	if c.request != nil {
		o["requestParameters"] = c.request
	}
	if c.response != nil {
		o["responseElements"] = c.response
	}
	if c.failure != "" {
		o["errorCode"], o["errorMessage"] = c.failure, "User: "+c.arn(w)+" is not authorized to perform: "+c.service+":"+c.event
	}
	return o
}

// network and country tell whose an address is: the documentation ranges stand for the company
// (192.0.2.0/24), for hotels, homes and services (198.51.100.0/24) and for a hosting company
// that rents to anyone (203.0.113.0/24).
func network(ip string) string {
	switch {
	case strings.HasPrefix(ip, "192.0.2."):
		return "Example Business Access"
	case strings.HasPrefix(ip, "203.0.113."):
		return "Example Cheap Hosting"
	}
	return "Example Consumer Broadband"
}

func country(ip string) string {
	switch {
	case strings.HasPrefix(ip, "192.0.2."):
		return "SE"
	case strings.HasPrefix(ip, "203.0.113."):
		return "MD"
	}
	last := ip[len(ip)-1] - '0'
	return [...]string{"SE", "DE", "PL", "ES", "IT"}[last%5]
}

func sortedKeys(o object) []string { return slices.Sorted(maps.Keys(o)) }
