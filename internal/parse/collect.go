package parse

import (
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// Limits of what one alert yields. Beyond them values are left out and Errors says so.
const (
	maxEntities   = 500
	maxIndicators = 1000
	maxErrors     = 50
	maxRefs       = 16
	maxMatches    = 20_000 // of the scanner, repeats included
	maxProperties = 48     // of one entity
)

type entityKey struct {
	t alert.EntityType
	v string
}

type indicatorKey struct {
	t alert.IndicatorType
	v string
}

// collector gathers the entities and indicators of one alert. Its maps are used again.
type collector struct {
	out        alert.Entities
	entities   map[entityKey]int32
	indicators map[indicatorKey]int32
	warn       *WarningLists
	matches    int
	fullE      bool
	fullI      bool
}

func (c *collector) reset(w *WarningLists) {
	clear(c.entities)
	clear(c.indicators)
	if c.entities == nil {
		c.entities = make(map[entityKey]int32, 32)
		c.indicators = make(map[indicatorKey]int32, 32)
	}
	c.out, c.warn, c.matches, c.fullE, c.fullI = alert.Entities{}, w, 0, false, false
}

func (c *collector) note(place, what string) {
	switch n := len(c.out.Errors); {
	case n < maxErrors:
		c.out.Errors = append(c.out.Errors, place+": "+what)
	case n == maxErrors:
		c.out.Errors = append(c.out.Errors, "more errors are not listed")
	}
}

// add merges an entity whose value is clean. It returns its place in the list, or -1 when it
// has no value or the list is full.
func (c *collector) add(e alert.Entity) int {
	if e.Value == "" {
		return -1
	}
	key := entityKey{e.Type, alert.FoldValue(e.Type, e.Value)}
	if i, ok := c.entities[key]; ok {
		c.merge(&c.out.List[i], &e)
		return int(i)
	}
	if len(c.out.List) >= maxEntities {
		if !c.fullE {
			c.fullE = true
			c.out.Errors = append(c.out.Errors, "more than "+strconv.Itoa(maxEntities)+" entities, the rest is left out")
		}
		return -1
	}
	// The value must not keep the native record alive.
	folded := key.v == e.Value
	e.Value = strings.Clone(e.Value)
	if folded {
		key.v = e.Value
	}
	if c.out.List == nil {
		c.out.List = make([]alert.Entity, 0, 12)
	}
	c.entities[key] = int32(len(c.out.List))
	c.out.List = append(c.out.List, e)
	return len(c.out.List) - 1
}

func (c *collector) has(t alert.EntityType, v string) bool {
	_, ok := c.entities[entityKey{t, alert.FoldValue(t, v)}]
	return ok
}

func (c *collector) merge(into, e *alert.Entity) {
	if e.Confidence > into.Confidence {
		into.Confidence = e.Confidence
	}
	into.Principal = into.Principal || e.Principal
	switch {
	case into.Role == alert.RoleParent && e.Role == alert.RoleNone:
		into.Role = e.Role // the process itself outranks its mention as a parent
	case into.Role == alert.RoleNone && e.Role != alert.RoleParent:
		into.Role = e.Role
	}
	if into.SourceID == "" {
		into.SourceID = e.SourceID
	}
	if into.Ref == "" {
		into.Ref = e.Ref
	}
	for k, v := range e.Properties {
		setProperty(into, k, v, into.Type == alert.Process)
	}
}

// setProperty sets a property unless it has that value. Several processes of one image keep
// their differing values under numbered names: command_line, command_line.2 and so on.
func setProperty(e *alert.Entity, name, value string, several bool) {
	if value == "" || len(e.Properties) >= maxProperties {
		return
	}
	if e.Properties == nil {
		e.Properties = make(map[string]string, 4)
	}
	old, ok := e.Properties[name]
	if !ok {
		e.Properties[name] = value
		return
	}
	for i := 2; several && old != value && i <= 5; i++ {
		numbered := name + "." + strconv.Itoa(i)
		if old, ok = e.Properties[numbered]; !ok {
			e.Properties[numbered] = value
			return
		}
	}
}

// indicator records a value that can be looked up elsewhere.
func (c *collector) indicator(t alert.IndicatorType, value string, confidence float64, ref string) *alert.Indicator {
	if value == "" {
		return nil
	}
	key := indicatorKey{t, value}
	if i, ok := c.indicators[key]; ok {
		x := &c.out.Indicators[i]
		x.Confidence = max(x.Confidence, confidence)
		addRef(x, ref)
		return x
	}
	if len(c.out.Indicators) >= maxIndicators {
		if !c.fullI {
			c.fullI = true
			c.out.Errors = append(c.out.Errors, "more than "+strconv.Itoa(maxIndicators)+" indicators, the rest is left out")
		}
		return nil
	}
	key.v = strings.Clone(value)
	if c.out.Indicators == nil {
		c.out.Indicators = make([]alert.Indicator, 0, 12)
	}
	c.indicators[key] = int32(len(c.out.Indicators))
	c.out.Indicators = append(c.out.Indicators, alert.Indicator{
		Type: t, Value: key.v, Confidence: confidence, Benign: c.warn.Warn(t, value),
	})
	x := &c.out.Indicators[len(c.out.Indicators)-1]
	addRef(x, ref)
	return x
}

func addRef(x *alert.Indicator, ref string) {
	if ref == "" || len(x.Refs) >= maxRefs {
		return
	}
	for _, r := range x.Refs {
		if r == ref {
			return
		}
	}
	x.Refs = append(x.Refs, ref)
}

// urlIndicators records a URL and the host in it.
func (c *collector) urlIndicators(value string, confidence float64, ref string) {
	c.indicator(alert.IndicatorURL, value, confidence, ref)
	host := URLHost(value)
	if host == "" && !strings.Contains(value, "://") { // a source that leaves the scheme out
		host = URLHost("http://" + value)
	}
	if addr, ok := address(host); ok {
		c.indicator(addressType(addr), addr, confidence, ref)
	} else if _, labels, ok := validHost(host); ok && labels > 1 && !onlyDigits(host) {
		c.indicator(alert.IndicatorDomain, host, confidence, ref)
	}
}

// stated records the indicators that a stated entity is.
func (c *collector) stated(t alert.EntityType, value string, confidence float64, ref string) {
	switch t {
	case alert.IP:
		c.indicator(addressType(value), value, confidence, ref)
	case alert.URL:
		c.urlIndicators(value, confidence, ref)
	case alert.DNS:
		if strings.IndexByte(value, '.') < 0 {
			return
		}
		c.indicator(alert.IndicatorDomain, strings.ToLower(value), confidence, ref)
	case alert.FileHash:
		c.indicator(hashType(len(value)), value, confidence, ref)
	case alert.Mailbox, alert.Account:
		c.mail(value, confidence, ref)
	}
}

func (c *collector) mail(value string, confidence float64, ref string) {
	if isUPN(value) {
		c.indicator(alert.IndicatorEmail, strings.ToLower(value), confidence, ref)
	}
}
