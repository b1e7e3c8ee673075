package intel

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/knowledge/feed"
)

// kevRow is a vulnerability of the CISA catalogue of known exploited vulnerabilities, after
// its JSON schema.
type kevRow struct {
	ID         string `json:"cveID"`
	Vendor     string `json:"vendorProject"`
	Product    string `json:"product"`
	Name       string `json:"vulnerabilityName"`
	Added      string `json:"dateAdded"`
	Due        string `json:"dueDate"`
	Ransomware string `json:"knownRansomwareCampaignUse"`
}

const kevConfidence = 90

func (s *sink) readKEV(br *bufio.Reader) error {
	dec := jsontext.NewDecoder(br, feed.Lenient()...)
	return feed.EachMember(dec, func(name string) error {
		if name != "vulnerabilities" {
			return feed.Skip(dec)
		}
		return feed.EachElement(dec, func(i int, raw jsontext.Value) error {
			place := "vulnerabilities[" + strconv.Itoa(i) + "]"
			var row kevRow
			if err := json.Unmarshal(raw, &row, feed.Lenient()...); err != nil {
				s.refuse(place, "", fmt.Errorf("not a vulnerability of the catalogue: %w", err))
				return nil
			}
			return s.add(place, alert.IndicatorCVE, row.ID, s.kevIndicator(&row))
		})
	})
}

func (s *sink) kevIndicator(row *kevRow) Indicator {
	ind := Indicator{
		Confidence: kevConfidence, Severity: alert.High, FirstSeen: parseTime(row.Added),
		Tags: []string{"kev"},
	}
	ind.Context = strings.TrimSpace(row.Vendor+" "+row.Product) + ": " + row.Name
	if row.Due != "" {
		ind.Context += "; to be remedied by " + row.Due
		ind.Tags = append(ind.Tags, "due:"+row.Due)
	}
	if strings.EqualFold(row.Ransomware, "Known") {
		ind.Severity = alert.Critical
		ind.Tags = append(ind.Tags, "ransomware")
	}
	return ind
}
