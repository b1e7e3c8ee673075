package eval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// WindowsHit wraps a Windows event, as the XML of the event log converts to JSON
// ({"System": …, "EventData": …} with "#attributes"), into a document of the Wazuh indexer, the
// form in which such an event reaches the product: data.win.system and data.win.eventdata with
// small first letters and values as strings. The rule around it is a neutral one, without
// description of the activity and without techniques, so that nothing but the event speaks.
// UserData is read like EventData, its wrapper left out.
func WindowsHit(id string, event jsontext.Value) ([]byte, error) {
	var e struct {
		System    map[string]any `json:"System"`
		EventData map[string]any `json:"EventData"`
		UserData  map[string]any `json:"UserData"`
	}
	if err := json.Unmarshal(event, &e, readOptions...); err != nil {
		return nil, fmt.Errorf("windows event %s: %w", id, err)
	}
	if len(e.System) == 0 {
		return nil, fmt.Errorf("windows event %s: it has no System block; expected {\"Event\": {\"System\": …, \"EventData\": …}}", id)
	}
	system := systemBlock(e.System)
	data := map[string]string{}
	eventData(data, e.EventData)
	eventData(data, e.UserData)
	delete(data, "xmlns")
	computer := system["computer"]
	doc := map[string]any{
		"_index": "wazuh-alerts-4.x", "_id": id,
		"_source": map[string]any{
			"id": id, "timestamp": system["systemTime"], "location": "EventChannel",
			"agent":   map[string]string{"id": "001", "name": computer},
			"manager": map[string]string{"name": "manager"},
			"decoder": map[string]string{"name": "windows_eventchannel"},
			"rule":    map[string]any{"id": "60000", "level": 3, "description": "Windows event", "groups": []string{"windows"}},
			"data":    map[string]any{"win": map[string]any{"system": system, "eventdata": data}},
		},
	}
	return json.Marshal(doc, json.Deterministic(true))
}

func systemBlock(in map[string]any) map[string]string {
	out := map[string]string{}
	for _, k := range sortedKeys(in) {
		v := in[k]
		switch k {
		case "Provider":
			out["providerName"], out["providerGuid"] = attribute(v, "Name"), braced(attribute(v, "Guid"))
			if s := attribute(v, "EventSourceName"); s != "" {
				out["eventSourceName"] = s
			}
		case "TimeCreated":
			out["systemTime"] = attribute(v, "SystemTime")
		case "Execution":
			out["processID"], out["threadID"] = attribute(v, "ProcessID"), attribute(v, "ThreadID")
		case "Security", "Correlation":
		default:
			if s, ok := scalar(v); ok {
				out[small(k)] = s
			}
		}
	}
	return out
}

// eventData flattens the data of an event; a wrapper that only holds other values is left out.
func eventData(out map[string]string, in map[string]any) {
	for _, k := range sortedKeys(in) {
		switch v := in[k].(type) {
		case map[string]any:
			if text, ok := v["#text"]; ok {
				if s, ok := scalar(text); ok {
					out[small(k)] = s
				}
			} else if k != "#attributes" {
				eventData(out, v)
			}
		case []any:
			var parts []string
			for _, x := range v {
				if s, ok := scalar(x); ok {
					parts = append(parts, s)
				}
			}
			out[small(k)] = strings.Join(parts, ", ")
		default:
			if s, ok := scalar(v); ok {
				out[small(k)] = s
			}
		}
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func attribute(v any, name string) string {
	m, _ := v.(map[string]any)
	attrs, _ := m["#attributes"].(map[string]any)
	s, _ := scalar(attrs[name])
	return s
}

func scalar(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case float64:
		return strings.TrimSuffix(fmt.Sprintf("%.0f", x), "."), true
	case bool:
		return fmt.Sprint(x), true
	case map[string]any: // an element with attributes and text, such as EventID with Qualifiers
		return scalar(x["#text"])
	}
	return "", false
}

func braced(guid string) string {
	if guid == "" || strings.HasPrefix(guid, "{") {
		return guid
	}
	return "{" + guid + "}"
}

// small is how Wazuh writes the names of fields.
func small(name string) string {
	if name == "" {
		return name
	}
	return strings.ToLower(name[:1]) + name[1:]
}
