package asset

import (
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Predicates lists the predicates that Holds knows, sorted.
func Predicates() []string {
	list := append([]string{"admin_account", "admin_host", "admin_tool", "maintenance_window", "exercise"}, roleNames[:]...)
	slices.Sort(list)
	return list
}

// Holds reports whether the predicate holds for the value, for the alert's tenant, at the time
// of its event. An unknown predicate does not hold. It implements rules.Org.
//
// admin_host and admin_tool hold relative to the accounts that the alert itself names: every
// account that acted must be a listed administrator whose own entry has that host, or tool.
// So admin_account, admin_host and admin_tool hold together only when one entry has all three.
// Where the alert names no account of a person, any entry will do.
func (o *Org) Holds(predicate, value string, a *alert.Alert) bool {
	s := o.site(a.TenantID)
	if s == nil || blank(value) {
		return false
	}
	at, known := a.EventTime()
	if !known {
		at = time.Time{} // no lease, window or exercise can be told to cover it
	}
	switch predicate {
	case "admin_account":
		id := s.accountOf(value, a)
		return id >= 0 && s.adminOf[id] != nil
	case "admin_host":
		return s.byEntry(a, func(x *admin) bool { return x.hosts.has(&s.Resolver, value, at) })
	case "admin_tool":
		p, ok := toolPath(value, a)
		return ok && s.byEntry(a, func(x *admin) bool { return x.hasTool(p, s.dirs) })
	case "maintenance_window":
		return s.inWindow(value, at)
	case "exercise":
		return s.inExercise(value, a, at)
	}
	for i, name := range roleNames {
		if name == predicate {
			return s.roles[i].has(&s.Resolver, value, at)
		}
	}
	return false
}

// accountOf resolves an account value by everything the alert says about it: a bare user name
// counts with the domain and the SID that stand beside it.
func (s *site) accountOf(value string, a *alert.Alert) int {
	name, ok := parseAccount(value)
	if _, called := s.users[name.user]; !ok || !called && len(s.sids) == 0 {
		return ambiguous // the usual case: nobody is called so
	}
	list, _ := mentions(a.Fields)
	want := fold(stated(value))
	id, found := ambiguous, false
	for i := range list {
		if fold(list[i].raw) != want {
			continue
		}
		this := s.resolve(&list[i])
		if this < 0 || found && this != id {
			return ambiguous
		}
		id, found = this, true
	}
	if found {
		return id
	}
	return s.account(value)
}

// byEntry asks the entries of the alert's own accounts.
func (s *site) byEntry(a *alert.Alert, has func(*admin) bool) bool {
	if !slices.ContainsFunc(s.admins, has) {
		return false
	}
	list, more := mentions(a.Fields)
	if more {
		return false
	}
	someone, acting := false, false
	for i := range list {
		if list[i].class == "" {
			someone, acting = true, acting || list[i].acting
		}
	}
	if !someone {
		return true
	}
	held := false
	for i := range list {
		m := &list[i]
		if m.class != "" {
			continue
		}
		entry := s.adminOf[s.resolve(m)]
		switch {
		case entry == nil && (m.acting || !acting):
			return false
		case entry == nil: // someone who is not an administrator was acted upon
		case !has(entry):
			return false
		default:
			held = true
		}
	}
	return held
}

func (x *admin) hasTool(p path, dirs []path) bool {
	for i := range x.tools {
		if x.tools[i].matches(p, dirs) {
			return true
		}
	}
	return false
}

// toolPath returns the whole path of a program. Where the field has its name alone, the folder
// must stand beside it.
func toolPath(value string, a *alert.Alert) (path, bool) {
	if p, ok := parsePath(value); ok {
		return p, true
	}
	for i := range a.Fields {
		f := &a.Fields[i]
		if f.Value != value {
			continue
		}
		if dir := stated(beside(a.Fields, f, "Directory")); dir != "" {
			return parsePath(dir + separatorOf(dir) + stated(value))
		}
	}
	return path{}, false
}

func separatorOf(dir string) string {
	if dir[0] == '/' {
		return "/"
	}
	return `\`
}

func (s *site) inWindow(value string, at time.Time) bool {
	if class, none := s.Class(value); none && class != ClassShared {
		return false
	}
	for i := range s.windows {
		w := &s.windows[i]
		if w.active(at) && (w.everything || w.hosts.has(&s.Resolver, value, at)) {
			return true
		}
	}
	return false
}

// inExercise reports whether a running exercise names the value. What names an account and
// hosts holds only for both together.
func (s *site) inExercise(value string, a *alert.Alert, at time.Time) bool {
	for i := range s.exercises {
		x := &s.exercises[i]
		if within(at, x.from, x.to) && s.exerciseNames(x, value, a, at) {
			return true
		}
	}
	return false
}

func (s *site) exerciseNames(x *exercise, value string, a *alert.Alert, at time.Time) bool {
	if x.addresses.has(&s.Resolver, value, at) {
		return true
	}
	if id := s.accountOf(value, a); id >= 0 && x.accounts[id] && s.onHostOf(x, a, at) {
		return true
	}
	if x.hosts.has(&s.Resolver, value, at) && s.byAccountOf(x, a) {
		return true
	}
	return !namesAccount(a, value) && x.sentBy(value)
}

// sentBy compares mail addresses and domains.
func (x *exercise) sentBy(value string) bool {
	v := fold(stated(value))
	if x.senders[v] {
		return true
	}
	if a, ok := parseAccount(v); ok && a.domain != "" {
		v = a.domain
	}
	return x.domains[v]
}

// namesAccount keeps accounts from passing as senders.
func namesAccount(a *alert.Alert, value string) bool {
	list, more := mentions(a.Fields)
	want := fold(stated(value))
	return more || slices.ContainsFunc(list, func(m mention) bool { return fold(m.raw) == want })
}

// onHostOf reports whether the exercise is not about certain hosts, or the alert is on one.
func (s *site) onHostOf(x *exercise, a *alert.Alert, at time.Time) bool {
	if x.hosts.count == 0 {
		return true
	}
	var buf [24]byte
	for i := range a.Fields {
		f := &a.Fields[i]
		parents, ok := hostShapes[string(last(f.Path, &buf))]
		if ok && (parents == nil || under(parents, parentOf(f.Path))) && x.hosts.has(&s.Resolver, f.Value, at) {
			return true
		}
	}
	return false
}

// byAccountOf reports whether the exercise is not about certain accounts, or everyone who acted
// is one of them.
func (s *site) byAccountOf(x *exercise, a *alert.Alert) bool {
	if len(x.accounts) == 0 {
		return true
	}
	list, more := mentions(a.Fields)
	if more {
		return false
	}
	for i := range list {
		if m := &list[i]; m.acting && m.class == "" && !x.accounts[s.resolve(m)] {
			return false
		}
	}
	return true
}
