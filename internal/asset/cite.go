package asset

import (
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// Cite names what of org.yaml makes a predicate hold, in words that are the same for every
// alert that rests on it: the listed host or account under the name people know, the window or
// the exercise by what it says about itself. It is empty where the predicate does not hold.
func (o *Org) Cite(predicate, value string, a *alert.Alert) string {
	if !o.Holds(predicate, value, a) {
		return ""
	}
	s := o.site(a.TenantID)
	what := strings.ReplaceAll(predicate, "_", " ")
	at, _ := a.EventTime()
	name := ""
	switch predicate {
	case "maintenance_window":
		i := slices.IndexFunc(s.windows, func(w window) bool { return w.active(at) && (w.everything || w.hosts.has(&s.Resolver, value, at)) })
		if i >= 0 {
			name = s.windows[i].what
		}
	case "exercise":
		i := slices.IndexFunc(s.exercises, func(x exercise) bool { return within(at, x.from, x.to) && s.exerciseNames(&x, value, a, at) })
		if i >= 0 {
			name = s.exercises[i].what
		}
	case "admin_account":
		if id, ok := s.identity(s.accountOf(value, a)); ok {
			name = id.Name
		}
	case "admin_tool":
		if p, ok := toolPath(value, a); ok {
			name = p.base()
		}
	}
	if name == "" {
		name = s.known(value, a)
	}
	return what + ": " + clip(name)
}

// known is the name of a host that is listed, or the value as it stands: an address of a network
// that is listed has no other name.
func (s *site) known(value string, a *alert.Alert) string {
	at, _ := a.EventTime()
	if id, ok := s.Resolver.Host(value, at); ok {
		return id.Name
	}
	return fold(stated(value))
}
