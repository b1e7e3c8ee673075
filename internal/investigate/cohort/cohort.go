// Package cohort says which investigations a person can decide on together: those that are
// proposed as benign for the same reason, and those of one attack whose plans ask for nothing
// beyond one of them. It decides nothing; every member is decided on by itself, bound to what
// the person saw of it.
package cohort

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
)

// Key identifies the cohort of an investigation that is proposed as benign. Investigations of
// one key rest on the same of the organisation's own facts, or else are of the same analytic,
// explanation and class of entities.
func Key(inv *investigate.Investigation) string {
	if cites := Citations(inv); len(cites) > 0 {
		return digest(append([]string{"expected", inv.TenantID}, cites...))
	}
	parts := []string{inv.TenantID, inv.Source, inv.Analytic, string(inv.Verdict.Classification), EntityClass(inv)}
	for i := range inv.Evidence {
		if e := &inv.Evidence[i]; e.Counted < 0 {
			parts = append(parts, e.ID)
		}
	}
	slices.Sort(parts[5:])
	return digest(append(parts[:5], slices.Compact(parts[5:])...))
}

func digest(parts []string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// Citations are the facts of the organisation by which all of an investigation is expected: the
// scanner that is listed, the change that was announced. It is empty unless nothing else is at
// play: an outlier, which has evidence for malicious that could stand alone, is critical, or has
// an explanation besides that decides, is looked at with its own kind.
func Citations(inv *investigate.Investigation) []string {
	if inv.Verdict.Classification != evidence.BenignTruePositive || inv.Verdict.Severity >= alert.Critical {
		return nil
	}
	decides := reason.DefaultThresholds().BenignBits
	var cites []string
	for i := range inv.Evidence {
		switch e := &inv.Evidence[i]; {
		case e.Counted >= decides:
			return nil
		case e.Counted < 0 && e.Expected && len(e.Cites) > 0:
			cites = append(cites, e.Cites...)
		case e.Counted <= -decides:
			return nil
		}
	}
	slices.Sort(cites)
	return slices.Compact(cites)
}

// EntityClass says what kinds of things the investigation is about: the types of its principal
// entities, accounts told apart by who stands behind them.
func EntityClass(inv *investigate.Investigation) string {
	var kinds []string
	for i := range inv.Entities {
		e := &inv.Entities[i]
		if !e.Principal {
			continue
		}
		kind := string(e.Type)
		if e.Type == alert.Account {
			kind = accountClass(e)
		}
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	if kinds = slices.Compact(kinds); len(kinds) == 0 {
		return "none"
	}
	return strings.Join(kinds, "+")
}

// accountClass tells built-in and machine accounts from people's, by the names that Windows
// and Unix give them.
func accountClass(e *alert.Entity) string {
	name := strings.ToLower(e.Value)
	if i := strings.LastIndexByte(name, '\\'); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = strings.Cut(name, "@")
	switch {
	case strings.HasSuffix(name, "$"):
		return "machine account"
	case slices.Contains([]string{"system", "local service", "network service", "root", "daemon", "nobody", "trustedinstaller"}, name),
		strings.HasPrefix(name, "dwm-"), strings.HasPrefix(name, "umfd-"):
		return "built-in account"
	default:
		return "account"
	}
}
