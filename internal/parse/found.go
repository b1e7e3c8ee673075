package parse

import (
	"strconv"

	"github.com/aluskort/aluskort/internal/alert"
)

// scanAll looks for indicators in the texts of the alert. Without any stated entity every
// field is a text, and Errors says so.
func (w *work) scanAll(plans map[string]pathPlan, graphOK, fallback bool) {
	a := w.alert
	if fallback && (a.EntitiesRaw != "" || len(a.Fields) > 0) {
		w.note("/Entities", "not a JSON array and no known field has an entity; the texts were searched instead")
	}
	title, description := true, true
	for i := range a.Fields {
		f := &a.Fields[i]
		if f.Kind != alert.KindString || len(f.Value) < 4 {
			continue
		}
		x := w.pathPlan(plans, f.Path)
		if !x.scan && !fallback {
			continue
		}
		if graphOK && len(f.Value) == len(a.EntitiesRaw) && f.Value == a.EntitiesRaw {
			continue // the graph was read; its device ids are no hashes
		}
		w.scanText(f.Value, f.Pointer, x.version)
		title = title && f.Value != a.Title
		description = description && f.Value != a.Description
	}
	if title {
		w.scanText(a.Title, "/title", false)
	}
	if description {
		w.scanText(a.Description, "/description", false)
	}
	if fallback && len(a.Fields) == 0 {
		w.scanText(a.EntitiesRaw, "/entities_raw", false)
	}
}

func (w *work) scanText(text, ref string, version bool) {
	if w.fullI || w.matches > maxMatches {
		return
	}
	w.parser.scanner.scan(text, func(m Match) bool {
		if w.matches++; w.matches > maxMatches {
			w.note(ref, "more than "+strconv.Itoa(maxMatches)+" finds, the rest of the text was not searched")
			return false
		}
		if !version || m.Type != alert.IndicatorIPv4 {
			w.found(m, ref)
		}
		return !w.fullI
	})
}

// found records what the scanner found: as an indicator, and as an entity when it is of a
// kind that can be one, the source did not state it and the warning lists let it count.
func (w *work) found(m Match, ref string) {
	set := plainText
	switch m.Type {
	case alert.IndicatorURL:
		set = webText
	case alert.IndicatorPath, alert.IndicatorRegistry, alert.IndicatorEmail:
		set = names
	}
	value := clean(m.Value, set)
	confidence := Confidence(m.Type)
	x := w.indicator(m.Type, value, confidence, ref)
	if x == nil {
		return
	}
	benign := x.Benign != ""
	value = x.Value
	if m.Type == alert.IndicatorURL {
		w.urlIndicators(value, confidence, ref)
	}
	t := entityOf(m.Type)
	if t == "" || benign || w.has(t, value) || t == alert.DNS && w.has(alert.Host, value) {
		return
	}
	e := alert.Entity{Type: t, Value: value, Confidence: confidence, Ref: ref}
	if t == alert.FileHash {
		setProperty(&e, "algorithm", string(m.Type), false)
	}
	w.add(e)
}

// entityOf is the entity type of an indicator, "" for those that are no entities.
func entityOf(t alert.IndicatorType) alert.EntityType {
	switch t {
	case alert.IndicatorIPv4, alert.IndicatorIPv6:
		return alert.IP
	case alert.IndicatorDomain:
		return alert.DNS
	case alert.IndicatorURL:
		return alert.URL
	case alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256:
		return alert.FileHash
	}
	return ""
}
