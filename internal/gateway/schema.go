package gateway

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/llm"
)

type object = map[string]any

func strict(properties object) object {
	return object{
		"type": "object", "additionalProperties": false,
		"required": slices.Sorted(maps.Keys(properties)), "properties": properties,
	}
}

func text(description string) object { return object{"type": "string", "description": description} }

func oneOf(values []string) object { return object{"type": "string", "enum": values} }

func list(of object) object { return object{"type": "array", "items": of} }

func codes[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// schema is the form of the answer to this question: it names only what was offered.
func (p *prompt) schema(task Task) (*llm.Schema, error) {
	properties := object{"request": oneOf([]string{p.id})}
	switch task {
	case llm.Investigation:
		properties["classification"] = oneOf([]string{
			string(evidence.TruePositive), string(evidence.BenignTruePositive), string(evidence.FalsePositive),
			string(evidence.Suspicious), string(evidence.InvestigationRequired),
		})
		properties["confidence"] = object{"type": "number", "description": "from 0 to 1"}
		citable := append(codes(p.evidence), codes(p.fields)...)
		if len(citable) == 0 {
			citable = []string{"none"}
		}
		properties["citations"] = list(strict(object{
			"code": oneOf(citable), "bits": object{"type": "number", "description": "from -2 to 2"}, "why": text("one sentence"),
		}))
		properties["unknowns"] = list(text("one fact that would decide"))
		properties["alternative"] = text("the best competing explanation")
		properties["techniques"] = list(text("an id such as T1059.001 or AML.T0051"))
		actions := codes(p.choices)
		if len(actions) == 0 {
			actions = []string{"none"}
		}
		properties["actions"] = list(oneOf(actions))
	case llm.IOCExtraction:
		properties["indicators"] = list(strict(object{
			"type": oneOf([]string{"ipv4", "ipv6", "domain", "url", "email", "md5", "sha1", "sha256", "path"}), "value": text("as it is written plainly"),
		}))
	case llm.LogSummarisation:
		properties["summary"] = text("at most three sentences")
	}
	b, err := json.Marshal(strict(properties), json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return &llm.Schema{Name: string(task), JSON: b}, nil
}
