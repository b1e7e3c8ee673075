package question

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/investigate"
)

// scene is what an investigation is about, as far as questions can use it: at most one of each.
type scene struct {
	inv *investigate.Investigation

	host, account, target     string
	source, destination       string // addresses
	process, parent           string // names of programs
	path                      string // of the process, where it is known
	file, hash, url, domain   string
	message                   string
	key, keyRef, token, tkRef string
	first, last               time.Time
}

func read(inv *investigate.Investigation) *scene {
	s := &scene{inv: inv, first: inv.FirstSeen, last: inv.LastSeen}
	pick := func(t alert.EntityType, fits func(*alert.Entity) bool, roles ...alert.Role) *alert.Entity {
		return choose(inv.Entities, t, fits, roles)
	}
	s.host = value(pick(alert.Host, nil, alert.RoleDevice, alert.RoleTarget, alert.RoleDestination, alert.RoleNone, alert.RoleSource))
	s.account = value(pick(alert.Account, personal, alert.RoleSubject, alert.RoleNone, alert.RoleTarget))
	s.target = value(pick(alert.Account, personal, alert.RoleTarget))
	s.source = value(pick(alert.IP, remote, alert.RoleSource))
	if s.source == "" {
		s.source = value(pick(alert.IP, public, alert.RoleNone))
	}
	s.destination = value(pick(alert.IP, public, alert.RoleDestination))
	if p := pick(alert.Process, nil, alert.RoleSubject, alert.RoleNone, alert.RoleTarget); p != nil {
		s.process, s.path = base(p.Value), p.Properties["image_path"]
	}
	s.parent = base(value(pick(alert.Process, nil, alert.RoleParent)))
	s.file = value(pick(alert.File, nil, alert.RoleTarget, alert.RoleNone, alert.RoleSubject))
	s.hash = bestHash(inv.Entities)
	s.url = value(pick(alert.URL, nil, alert.RoleNone, alert.RoleDestination, alert.RoleTarget, alert.RoleSource))
	s.domain = value(pick(alert.DNS, nil, alert.RoleDestination))
	s.readLinks()
	return s
}

// readLinks prefers what ties alerts together: those values were chosen with care.
func (s *scene) readLinks() {
	hash := ""
	for i := range s.inv.Links {
		l := &s.inv.Links[i]
		switch l.Kind {
		case alert.LinkHash:
			if isHash(l.Value) && len(l.Value) > len(hash) {
				hash = l.Value
			}
		case alert.LinkMessage:
			s.message = or(s.message, l.Value)
		case alert.LinkSource:
			s.source = or(s.source, l.Value)
		case alert.LinkKey:
			if s.key == "" {
				s.key, s.keyRef = l.Value, l.Ref
			}
		case alert.LinkToken:
			if s.token == "" {
				s.token, s.tkRef = l.Value, l.Ref
			}
		}
	}
	s.hash = or(hash, s.hash)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func value(e *alert.Entity) string {
	if e == nil {
		return ""
	}
	return e.Value
}

// choose takes the entity with the first of the roles; among equals a principal one, then the
// one that is stated, then the first in the investigation's own order.
func choose(list []alert.Entity, t alert.EntityType, fits func(*alert.Entity) bool, roles []alert.Role) *alert.Entity {
	var best *alert.Entity
	rank := 0
	for i := range list {
		e := &list[i]
		at := slices.Index(roles, e.Role)
		if e.Type != t || at < 0 || e.Value == "" || e.Confidence < 0.5 || fits != nil && !fits(e) {
			continue
		}
		r := 4 * (len(roles) - at)
		if e.Confidence >= 1 {
			r += 2
		}
		if e.Principal {
			r++
		}
		if r > rank {
			best, rank = e, r
		}
	}
	return best
}

// personal leaves out the accounts of the system and of machines.
func personal(e *alert.Entity) bool {
	name := strings.ToLower(sam(e.Value))
	switch name {
	case "system", "local service", "network service", "localsystem", "root", "anonymous logon", "nobody", "trustedinstaller", "-", "n/a", "unknown":
		return false
	}
	return !strings.HasSuffix(name, "$") && !strings.HasPrefix(name, "dwm-") && !strings.HasPrefix(name, "umfd-")
}

func remote(e *alert.Entity) bool {
	a, err := netip.ParseAddr(e.Value)
	return err == nil && a.IsGlobalUnicast()
}

func public(e *alert.Entity) bool {
	a, err := netip.ParseAddr(e.Value)
	return err == nil && a.IsGlobalUnicast() && !a.Unmap().IsPrivate()
}

func bestHash(list []alert.Entity) string {
	best := ""
	for i := range list {
		if v := list[i].Value; list[i].Type == alert.FileHash && isHash(v) && len(v) > len(best) {
			best = strings.ToLower(v)
		}
	}
	return best
}

func isHash(v string) bool {
	if len(v) != 64 && len(v) != 40 && len(v) != 32 {
		return false
	}
	return strings.Trim(v, "0123456789abcdefABCDEF") == ""
}

// base is the last part of a path.
func base(p string) string { return p[strings.LastIndexAny(p, `\/`)+1:] }

// sam is an account without its domain.
func sam(account string) string { return account[strings.LastIndexByte(account, '\\')+1:] }

// upn reports whether an account is named as the cloud names it.
func upn(account string) bool { return strings.Contains(account, "@") }

// names are the ways in which logs may write an account.
func names(account string) []string {
	list := []string{account}
	if short := sam(account); short != account {
		list = append(list, short)
	}
	return list
}

// short is the first label of a host name; an address stays whole.
func short(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	label, _, _ := strings.Cut(host, ".")
	return strings.ToLower(label)
}

// about reports whether the investigation concerns one of the things: a technique id (its
// sub-techniques included) or a family of kinds of evidence for malicious, such as "mail.".
func (s *scene) about(things ...string) bool {
	for _, x := range things {
		for i := range s.inv.Techniques {
			if id := s.inv.Techniques[i].ID; id == x || strings.HasPrefix(id, x+".") {
				return true
			}
		}
		for i := range s.inv.Evidence {
			e := &s.inv.Evidence[i]
			if e.Weight > 0 && strings.HasPrefix(e.Kind, x) {
				return true
			}
			for _, id := range e.Techniques {
				if id == x || strings.HasPrefix(id, x+".") {
					return true
				}
			}
		}
		for i := range s.inv.Tallies {
			if strings.HasPrefix(s.inv.Tallies[i].Item.Kind, x) {
				return true
			}
		}
	}
	return false
}

// answered reports whether evidence of a kind is there already.
func (s *scene) answered(kinds ...string) bool {
	for i := range s.inv.Evidence {
		for _, k := range kinds {
			if e := &s.inv.Evidence[i]; e.Counted != 0 && strings.HasPrefix(e.Kind, k) {
				return true
			}
		}
	}
	return false
}
