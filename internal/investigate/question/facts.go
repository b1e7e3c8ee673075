package question

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// topic says what a fact is about; answers to two facts of one topic go together.
type topic int

const (
	effect     topic = iota // what the activity led to
	familiar                // whether it is usual
	authorised              // whether somebody was meant to do it
	context                 // what else happened
)

// fact is something that may be asked. The weights stand on the ladder of the shipped rules:
// 1.5 for what also happens otherwise, 3 for what rarely does, 4 for a specific proof. That nobody
// announced something, or that it was never seen, is common among the harmless too and weighs little.
type fact struct {
	topic   topic
	yes, no float64
	// expected says that yes proves authorised activity.
	expected bool
	ask      func(*scene) (text, why string, q search, ok bool)
}

const (
	month  = 30 * 24 * time.Hour
	around = 30 * time.Minute
	soon   = 2 * time.Hour
)

func is(f field, values ...string) condition { return condition{field: f, values: values} }

func isNot(f field, values ...string) condition {
	return condition{field: f, values: values, not: true}
}

// before searches the month that ends where the activity began; within the time around it;
// after from its beginning to d past its end.
func (s *scene) before(q search) search { q.from, q.to = s.first.Add(-month), s.first; return q }

func (s *scene) during(q search) search {
	q.from, q.to = s.first.Add(-around), s.last.Add(around)
	return q
}

func (s *scene) after(d time.Duration, q search) search {
	q.from, q.to = s.first, s.last.Add(d)
	return q
}

// optional adds a condition when there is a value.
func optional(where []condition, f field, values ...string) []condition {
	if len(values) > 0 && values[0] != "" {
		where = append(where, is(f, values...))
	}
	return where
}

// facts are asked in this order when they decide equally.
var facts = []fact{
	{topic: effect, yes: 4, no: -1, ask: guessed},
	{topic: effect, yes: 3.5, no: -1, ask: tokenElsewhere},
	{topic: effect, yes: 3.5, no: -1, ask: keyElsewhere},
	{topic: effect, yes: 3, no: -2, ask: serviceStarted},
	{topic: effect, yes: 3, no: -1, ask: opened},
	{topic: effect, yes: 3, no: -1, ask: connected},
	{topic: familiar, yes: -3, no: 1, ask: signedInBefore},
	{topic: familiar, yes: -3, no: 1, ask: hashKnown},
	{topic: familiar, yes: -2.5, no: 1, ask: lineageKnown},
	{topic: familiar, yes: -2, no: 1, ask: destinationKnown},
	{topic: familiar, yes: -2, no: 1, ask: domainKnown},
	{topic: familiar, yes: -2, no: 0.5, ask: programUsual},
	{topic: authorised, yes: -3.5, no: 1, expected: true, ask: usualChange},
	{topic: authorised, yes: -3.5, no: 1, ask: updated},
	{topic: authorised, yes: -4, no: 0.25, expected: true, ask: announced},
	{topic: context, yes: 1.5, no: -0.5, ask: others},
	{topic: familiar, yes: -1.5, no: 0.25, ask: frequent},
}

func guessed(s *scene) (text, why string, q search, ok bool) {
	if s.account == "" && s.source == "" || s.answered("credential.success", "identity.spray_success") ||
		!s.about("T1110", "credential.guessing", "credential.brute", "identity.password_spray", "identity.mfa", "T1621") && !s.failedLogon() {
		return
	}
	q = search{data: s.logonData(), show: []field{fHost, fAccount, fSource, fAction}}
	who := "any account"
	if s.account != "" {
		who = quoted(s.account)
	}
	q.where = optional(q.where, fAccount, s.accountNames()...)
	from := ""
	if s.source != "" {
		from = " from " + quoted(s.source)
		q.where = optional(q.where, fSource, s.source)
	}
	return "Did a logon of " + who + from + " succeed during the failures or within 2 hours after them?",
		"A guess that succeeded is a compromised account; failures alone are an attempt.", s.after(soon, q), true
}

// failedLogon reports whether the source speaks of one without saying which technique it was.
func (s *scene) failedLogon() bool {
	title := strings.ToLower(s.inv.Title)
	for _, what := range []string{"logon", "login", "log-in", "sign-in", "signin", "authentication", "password"} {
		if strings.Contains(title, what) && (strings.Contains(title, "fail") || strings.Contains(title, "invalid")) {
			return true
		}
	}
	return false
}

// carriers run what they are told: as the program of a service they say nothing about it.
var carriers = []string{"services.exe", "svchost.exe", "cmd.exe", "powershell.exe", "pwsh.exe", "rundll32.exe", "regsvr32.exe", "mshta.exe", "wscript.exe", "cscript.exe"}

func tokenElsewhere(s *scene) (text, why string, q search, ok bool) {
	if s.token == "" {
		return
	}
	q = search{data: sessions, where: []condition{is(fToken, s.token)}, by: []field{fSource}, ref: s.tkRef}
	if s.source != "" {
		q.where = append(q.where, isNot(fSource, s.source))
	}
	return "Was the session or token of this activity used from another address as well?",
		"A session belongs to one device; one that moves was stolen, unless the device changed its network.", s.after(24*time.Hour, q), true
}

func keyElsewhere(s *scene) (text, why string, q search, ok bool) {
	if s.key == "" {
		return
	}
	q = search{data: cloudCalls, where: []condition{is(fKey, s.key)}, by: []field{fSource}, ref: s.keyRef}
	if s.source != "" {
		q.where = append(q.where, isNot(fSource, s.source))
	}
	return "Did the access key call the cloud from an address that its owner cannot explain?",
		"A key in other hands shows by where it is used.", s.after(24*time.Hour, q), true
}

func serviceStarted(s *scene) (text, why string, q search, ok bool) {
	if s.host == "" || !s.about("T1543", "T1569", "T1021.002", "persistence.service", "lateral.service", "lateral.psexec") {
		return
	}
	binary := base(s.file)
	if shared := strings.ToLower(binary); !strings.HasSuffix(shared, ".exe") || slices.Contains(carriers, shared) {
		binary = "services.exe"
	}
	q = search{
		data: processes, where: []condition{is(fHost, s.host), is(fParent, binary)},
		show: []field{fHost, fAccount, fParent, fProcess, fCommand, fHash},
	}
	return "Did the service's program (" + quoted(binary) + ") start a shell, a script or a program from a folder that users can write?",
		"What the service did tells remote control from software that was installed.", s.after(soon, q), true
}

func opened(s *scene) (text, why string, q search, ok bool) {
	if !s.about("mail.", "T1566", "T1204", "T1534") {
		return
	}
	const reason = "A message that reached others or was acted on is a campaign with victims."
	switch {
	case s.url != "":
		q = search{data: clicks, where: []condition{is(fURL, s.url)}, show: []field{fAccount, fSource, fURL, fAction}}
		return "Did anyone open the address " + quoted(s.url) + "?", reason, s.after(48*time.Hour, q), true
	case s.message != "":
		q = search{data: mails, where: []condition{is(fMessage, s.message)}, show: []field{fAccount, fRecipient, fMessage, fAction}}
		q = s.after(48*time.Hour, q)
		q.from = s.first.Add(-48 * time.Hour) // messages lie before what is noticed about them
		return "Was the message delivered to recipients other than those of the alert?", reason, q, true
	}
	return
}

func connected(s *scene) (text, why string, q search, ok bool) {
	if s.host == "" || s.process == "" {
		return
	}
	q = search{
		data: network, where: []condition{is(fHost, s.host), is(fProcess, s.process)},
		show: []field{fHost, fProcess, fDestination, fDomain},
	}
	return "Did " + quoted(s.process) + " on " + quoted(s.host) + " connect to a public address that no known product of yours uses, within an hour?",
		"A tool that calls out is remote control or theft; one that stays silent did less.", s.after(time.Hour, q), true
}

func signedInBefore(s *scene) (text, why string, q search, ok bool) {
	if s.account == "" || s.source == "" || s.process != "" && !s.about("T1078", "T1110", "T1133", "T1021", "T1621", "identity.", "initial.", "credential.guessing", "lateral.") {
		return
	}
	q = search{data: s.logonData(), where: []condition{is(fAccount, s.accountNames()...), is(fSource, s.source)}, by: []field{fAccount, fSource}}
	return "Did " + quoted(s.account) + " sign in from " + quoted(s.source) + " on other days of the last 30?",
		"An address that the account has long used is its own place.", s.before(q), true
}

func hashKnown(s *scene) (text, why string, q search, ok bool) {
	if s.hash == "" {
		return
	}
	q = search{data: processes, where: []condition{is(fHash, s.hash)}, by: []field{fHost}}
	return "Did the file with the hash " + s.hash + " run on five or more hosts before, for at least a week?",
		"What has run on many hosts for long is software of the house; what nobody has seen was brought.", s.before(q), true
}

func lineageKnown(s *scene) (text, why string, q search, ok bool) {
	if s.process == "" || s.parent == "" || strings.EqualFold(s.process, s.parent) {
		return
	}
	q = search{data: processes, where: []condition{is(fProcess, s.process), is(fParent, s.parent)}, by: []field{fHost}}
	if s.host != "" {
		q.where = append(q.where, isNot(fHost, s.host))
	}
	return "Does " + quoted(s.parent) + " start " + quoted(s.process) + " on other hosts too, with the same arguments?",
		"What a product does everywhere is how it works.", s.before(q), true
}

func destinationKnown(s *scene) (text, why string, q search, ok bool) {
	if s.destination == "" {
		return
	}
	q = search{data: network, where: []condition{is(fDestination, s.destination)}, by: []field{fHost}}
	return "Have three or more hosts connected to " + quoted(s.destination) + " in the 30 days before?",
		"A destination that many hosts have used for long is a service; a new one for a single host is not.", s.before(q), true
}

func domainKnown(s *scene) (text, why string, q search, ok bool) {
	if !strings.Contains(s.domain, ".") || s.destination != "" {
		return
	}
	q = search{data: lookups, where: []condition{is(fDomain, s.domain)}, by: []field{fHost}}
	return "Have three or more hosts looked up " + quoted(s.domain) + " in the 30 days before?",
		"A name that many hosts have used for long is a service; a new one for a single host is not.", s.before(q), true
}

func programUsual(s *scene) (text, why string, q search, ok bool) {
	if s.host == "" || s.process == "" {
		return
	}
	q = search{data: processes, where: []condition{is(fHost, s.host), is(fProcess, s.process)}, by: []field{fAccount, fCommand}}
	return "Has " + quoted(s.process) + " run on " + quoted(s.host) + " with like arguments on other days of the last 30?",
		"What comes back by itself is a task of the host.", s.before(q), true
}

func usualChange(s *scene) (text, why string, q search, ok bool) {
	if s.account == "" || !s.about("T1136", "T1098", "T1484", "persistence.account", "persistence.privileged_group", "identity.privileged_role", "identity.mfa_method") {
		return
	}
	q = search{data: changes, where: []condition{is(fAccount, s.accountNames()...)}, show: []field{fHost, fAccount, fTarget, fAction}}
	if upn(s.account) {
		q.data = roles
	}
	return "Does " + quoted(s.account) + " change accounts and groups as a duty, as on other days of the last 30?",
		"An administrator who does this regularly explains it; anybody else does not.", s.before(q), true
}

func updated(s *scene) (text, why string, q search, ok bool) {
	if s.file == "" || s.process != "" || slices.Contains(carriers, strings.ToLower(base(s.file))) {
		return
	}
	q = search{data: files, where: []condition{is(fFile, s.file)}, show: []field{fHost, fAccount, fProcess, fCommand, fFile, fAction}}
	q.where = optional(q.where, fHost, s.host)
	return "Was " + quoted(s.file) + " written by a package manager, an updater or a deployment?",
		"A file that maintenance wrote is expected; one that nobody's tool wrote is not.", s.during(q), true
}

func announced(s *scene) (text, why string, q search, ok bool) {
	for i := range s.inv.Evidence {
		if s.inv.Evidence[i].Expected {
			return // the organisation's context has answered it
		}
	}
	when := s.first.UTC().Format("2006-01-02 15:04") + " UTC"
	switch {
	case s.host != "":
		q = search{data: logons, where: []condition{is(fHost, s.host)}, show: []field{fHost, fAccount, fSource, fAction}}
		q.from, q.to = s.first.Add(-4*time.Hour), s.last.Add(around)
		return "Is a change, a test or maintenance announced for " + quoted(s.host) + " at " + when + "?",
			"The query lists who worked on the host at that time: the people to ask for the ticket.", q, true
	case s.account != "":
		q = search{data: s.logonData(), where: []condition{is(fAccount, s.accountNames()...)}, show: []field{fHost, fAccount, fSource, fAction}}
		q.from, q.to = s.first.Add(-4*time.Hour), s.last.Add(around)
		return "Does " + quoted(s.account) + " confirm that they did this themselves, at " + when + ", for a reason on record?",
			"The query lists their sign-ins at that time. Ask on a way other than the account itself.", q, true
	}
	return
}

func others(s *scene) (text, why string, q search, ok bool) {
	q = search{data: alerts, show: []field{fTitle, fSeverity, fHost, fAccount, fSource}}
	var about string
	switch {
	case s.host != "":
		about, q.where = s.host, []condition{is(fHost, s.host)}
	case s.account != "":
		about, q.where = s.account, []condition{is(fAccount, s.accountNames()...)}
	case s.source != "":
		about, q.where = s.source, []condition{is(fSource, s.source)}
	default:
		return
	}
	if s.inv.Title != "" {
		q.where = append(q.where, isNot(fTitle, s.inv.Title))
	}
	return "Were alerts of another kind raised about " + quoted(about) + " within 30 minutes, and are they part of the same activity?",
		"Independent detections of one activity confirm each other.", s.during(q), true
}

func frequent(s *scene) (text, why string, q search, ok bool) {
	if s.inv.Title == "" {
		return
	}
	q = search{data: alerts, where: []condition{is(fTitle, s.inv.Title)}, by: []field{fTitle}}
	return "Was " + quoted(s.inv.Title) + " raised on most days of the last 30 and found harmless?",
		"A detection that fires daily without harm says less.", s.before(q), true
}

// logonData is where the account's sign-ins are: in the cloud's log or in that of the hosts.
func (s *scene) logonData() dataset {
	if upn(s.account) || s.account == "" && s.host == "" {
		return cloudSignIns
	}
	return logons
}

func (s *scene) accountNames() []string {
	if s.account == "" {
		return nil
	}
	return names(s.account)
}

// maxQuoted bounds a value inside a sentence.
const maxQuoted = 120

// quoted sets a value of the alert apart from the sentence: it may have been written by an
// attacker, so quotes in it, line breaks and invisible characters are taken out.
func quoted(v string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '`':
			return '\''
		case awkward(r):
			return ' '
		}
		return r
	}, v)
	if list := []rune(clean); len(list) > maxQuoted {
		clean = string(list[:maxQuoted]) + "…"
	}
	return fmt.Sprintf("\"%s\"", clean)
}
