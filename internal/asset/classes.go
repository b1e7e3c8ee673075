package asset

import (
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// zoneClass begins the class of the hosts of a zone: "zone:office".
const zoneClass = "zone:"

// Classes returns the classes that every host of an alert has, sorted: its roles ("scanner",
// "backup_server" …), its criticality ("crown_jewel", "normal", "test") and its zone
// ("zone:office"). It is nil when nothing is known: when the source states no host, or one that
// org.yaml does not know. Addresses that belong to no listed host are left out. A host name that
// the remote side gives itself can take classes away and never add one, and what was only found
// in text counts for nothing.
func (o *Org) Classes(tenant string, entities []alert.Entity, at time.Time) []string {
	s := o.site(tenant)
	if s == nil {
		return nil
	}
	var common []string
	some, vouched := false, false
	for i := range entities {
		e := &entities[i]
		if e.Confidence < 1 || e.Type != alert.Host && e.Type != alert.IP {
			continue
		}
		classes, known := s.classesOf(e.Value, at)
		switch {
		case !known && e.Type == alert.IP:
			continue
		case !known:
			return nil
		case some:
			common = slices.DeleteFunc(common, func(c string) bool { return !slices.Contains(classes, c) })
		default:
			some, common = true, classes
		}
		vouched = vouched || e.Type == alert.IP || e.Role != alert.RoleSource
	}
	if !vouched {
		return nil
	}
	slices.Sort(common)
	return common
}

// classesOf lists the classes of one host, by name or address.
func (s *site) classesOf(value string, at time.Time) (classes []string, known bool) {
	classes = []string{}
	if i := s.host(value, at); i >= 0 {
		known = true
		id := &s.ids[i]
		if id.Criticality != "" {
			classes = append(classes, string(id.Criticality))
		}
		if id.Zone != "" {
			classes = append(classes, zoneClass+fold(id.Zone))
		}
	}
	for i, name := range roleNames {
		if s.roles[i].has(&s.Resolver, value, at) {
			known = true
			classes = append(classes, name)
		}
	}
	return classes, known
}
