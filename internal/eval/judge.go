package eval

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/result"
)

// Judge runs native records through the product in a fresh state and returns what became of
// each, in the order of the records. With alone, each record is judged as if it were the only
// one there ever was.
type Judge func(ctx context.Context, records [][]byte, alone bool) ([]Judged, error)

// Judged is what became of one record.
type Judged struct {
	Line result.Line
	// Investigation is the one that the alert belongs to; nil when the record was rejected.
	Investigation *investigate.Investigation
}

// Sample is one native record with the truth about it.
type Sample struct {
	Raw []byte
	Truth
}

// call is what a verdict amounts to.
type call uint8

const (
	deferred call = iota
	malicious
	benign
)

// callOf reads a verdict. A rejected record waits for a person, who sees the rejection. One
// that was dropped as a heartbeat reaches nobody, so it counts as called benign.
func callOf(j *Judged) call {
	switch {
	case j.Line.Rejection != nil && j.Line.Rejected.Dropped:
		return benign
	case j.Line.Result == nil:
		return deferred
	case j.Line.Investigation.Classification.Deferred():
		return deferred
	case j.Line.Investigation.Classification.Benign():
		return benign
	}
	return malicious
}

// verdictOf is the word that controls compare.
func verdictOf(j *Judged) string {
	switch {
	case j.Line.Result != nil:
		return string(j.Line.Investigation.Classification)
	case j.Line.Rejection != nil && j.Line.Rejected.Dropped:
		return "dropped"
	}
	return "rejected"
}

func probabilityOf(j *Judged) float64 {
	if j.Line.Result == nil {
		return 0
	}
	return j.Line.Investigation.Probability
}

// Match gives each record its truth: by the id that the product knows the alert by, else by
// the native ids of the record. It returns the labels for which there is no record, sorted.
func Match(samples []Sample, judged []Judged, labels map[string]Truth) (unused []string) {
	used := map[string]bool{}
	for i := range samples {
		for _, id := range idsOf(samples[i].Raw, &judged[i]) {
			if t, ok := labels[id]; ok && id != "" {
				samples[i].Truth = t
				used[id] = true
				break
			}
		}
	}
	for id := range labels {
		if !used[id] {
			unused = append(unused, id)
		}
	}
	slices.Sort(unused)
	return unused
}

// idsOf lists the ids of a record, the one that counts first.
func idsOf(raw []byte, j *Judged) []string {
	var ids []string
	if j.Line.Result != nil {
		ids = append(ids, j.Line.Alert.ID)
	}
	var doc struct {
		DocID  string         `json:"_id"`
		ID     jsontext.Value `json:"id"`
		Source struct {
			ID jsontext.Value `json:"id"`
		} `json:"_source"`
	}
	// A record without these keys, or with others of these names, has no further ids.
	if err := json.Unmarshal(raw, &doc, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return ids
	}
	return append(ids, doc.DocID, strings.Trim(string(doc.ID), `"`), strings.Trim(string(doc.Source.ID), `"`))
}

// eventTime is when the activity of a judged alert happened.
func eventTime(j *Judged) (time.Time, bool) {
	if j.Line.Result == nil {
		return time.Time{}, false
	}
	if s := j.Line.Alert.EventStart; s != nil {
		return *s, true
	}
	return j.Line.Alert.Timestamp, !j.Line.Alert.Timestamp.IsZero()
}

// hosts are the hosts that a judged alert names, by their short names.
func hosts(j *Judged) []string {
	if j.Line.Result == nil {
		return nil
	}
	var out []string
	for i := range j.Line.Alert.Entities {
		e := &j.Line.Alert.Entities[i]
		if e.Type != alert.Host || e.Confidence < 1 {
			continue
		}
		name, _, _ := strings.Cut(strings.ToLower(e.Value), ".")
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func checkJudged(records [][]byte, judged []Judged) error {
	if len(records) != len(judged) {
		return fmt.Errorf("eval: %d records went in and %d verdicts came out", len(records), len(judged))
	}
	return nil
}
