package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// host is a machine of the company.
type host struct {
	name, ip, os string
	agent        string // number of its Wazuh agent
}

// person is an employee. Accounts are made of the names.
type person struct{ first, last string }

func (p person) sam() string     { return strings.ToLower(p.first[:1] + "." + p.last) }
func (p person) display() string { return p.first + " " + p.last }

// world is the company of one seed: who and what there is. It never changes once made.
type world struct {
	seed  uint64
	rng   *rand.Rand
	start time.Time

	company, domain, netbios, awsAccount, otherAWS string
	people                                         []person

	// The intrusion's people and machines.
	victim, helpdesk, helpdesk2, engineer, backupAdmin person
	victimPC, fileServer, dc, dc2, backup, backup2     *host
	jump                                               *host

	mgmt, config, scan, scan2, build, buildLinux, mail, proxy, sensor, sensor2, vpn, web, web2, app1, app2, sql, manager *host
	desks                                                                                                                []*host
	devs                                                                                                                 []*host
	// hosts are all machines but the one that collects.
	hosts []*host

	// Addresses of the company on the internet, and of the intruder.
	egress, vpnGate, buildEgress, scanEgress string
	phishIP, hostingIP, phishDomain          string
	vpnLease                                 string
	service                                  map[string]string // application to service account
	apps                                     []string
}

var firstNames = strings.Fields(`Mara Jonas Ilse Tomas Nadia Edwin Priya Callum Greta Samir Lotte Victor Amina Rasmus
	Helena Owen Yara Dirk Freya Milan Selma Hugo Petra Noor Anton Celia Bruno Irene Felix Tilda`)

var lastNames = strings.Fields(`Lindqvist Okonjo Bergmann Varga Castel Holloway Nair Drummond Eklund Haddad Visser Moreau
	Sandoval Keller Osei Brandt Kovac Fontaine Lund Petrov Amundsen Ruiz Hartley Bauer Novotny Salo Whitcombe
	Ferrante Aydin Thorne`)

var companies = []string{"northmere", "halvorsen", "castelgate", "tannwald", "brightmoor", "kestrelby", "ostervik", "lindhaven", "marrowfield", "quillstone"}

var appNames = strings.Fields("crm erp mes wms lims dms hrm pos")

// published is 06:50 on the morning after an update Tuesday.
var published = time.Date(2026, time.October, 14, 6, 50, 0, 0, time.UTC)

func newWorld(seed uint64) *world {
	seed = seedOf(seed)
	w := &world{seed: seed, rng: newRand(seed), start: published, company: companies[0], service: map[string]string{}}
	first, last, apps := firstNames, lastNames, appNames
	if seed != Published {
		first, last, apps = w.shuffled(first), w.shuffled(last), w.shuffled(apps)
		w.company = companies[1+w.rng.IntN(len(companies)-1)]
		// Weeks, so that the weekday stays, and minutes, so that nothing hangs on the hour.
		w.start = w.start.AddDate(0, 0, -7*(1+w.rng.IntN(12))).Add(time.Duration(w.rng.IntN(81)-40) * time.Minute)
	}
	w.domain, w.netbios, w.apps = w.company+".example", strings.ToUpper(w.company), apps
	for i := range last {
		w.people = append(w.people, person{first[i], last[i]})
	}
	w.victim, w.helpdesk, w.helpdesk2, w.engineer, w.backupAdmin = w.people[0], w.people[1], w.people[2], w.people[3], w.people[4]
	w.awsAccount, w.otherAWS = w.digits("aws", 12), w.digits("aws/other", 12)
	w.addresses()
	w.machines()
	for _, a := range w.apps {
		w.service[a] = "svc-" + a
	}
	return w
}

func (w *world) shuffled(list []string) []string {
	out := append([]string(nil), list...)
	w.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// pick is a number that the published story has fixed and others draw.
func (w *world) pick(fixed, n int) int {
	if w.seed == Published {
		return fixed
	}
	return 1 + w.rng.IntN(n)
}

func (w *world) addresses() {
	near, far := w.pick(10, 60), w.pick(57, 100)
	w.egress, w.vpnGate = fmt.Sprintf("192.0.2.%d", near), fmt.Sprintf("192.0.2.%d", near+10)
	w.buildEgress, w.scanEgress = fmt.Sprintf("192.0.2.%d", near+35), fmt.Sprintf("192.0.2.%d", near+36)
	w.phishIP, w.hostingIP = fmt.Sprintf("203.0.113.%d", far), fmt.Sprintf("203.0.113.%d", far+83)
	w.phishDomain = w.company + "-sso-login.example"
}

func (w *world) machines() {
	net, n := w.pick(20, 90), w.pick(0, 30)
	site := ""
	if w.seed != Published {
		site = strings.ToUpper(w.company[:3]) + "-"
	}
	agent := 0
	add := func(role string, num, subnet, last int, os string) *host {
		agent++
		h := &host{
			name: fmt.Sprintf("%s%s-%0*d", site, role, width(role), num+n), ip: fmt.Sprintf("10.%d.%d.%d", net, subnet, last+n),
			os: os, agent: fmt.Sprintf("%03d", agent),
		}
		w.hosts = append(w.hosts, h)
		return h
	}
	w.dc, w.dc2 = add("DC", 1, 30, 10, "windows"), add("DC", 2, 30, 11, "windows")
	w.fileServer, w.app1, w.app2, w.sql = add("FS", 2, 30, 22, "windows"), add("APP", 3, 30, 33, "windows"), add("APP", 5, 30, 35, "windows"), add("SQL", 1, 30, 51, "windows")
	w.backup, w.backup2 = add("BK", 1, 31, 40, "windows"), add("BK", 2, 31, 41, "windows")
	w.mgmt, w.config = add("MGMT", 1, 90, 5, "windows"), add("CM", 1, 90, 8, "windows")
	w.scan, w.scan2 = add("SCN", 1, 99, 10, "linux"), add("SCN", 2, 99, 11, "linux")
	w.build, w.buildLinux = add("BLD", 1, 60, 15, "windows"), add("BLD", 2, 60, 16, "linux")
	w.mail, w.proxy, w.vpn = add("MX", 1, 50, 4, "linux"), add("PRX", 1, 50, 10, "linux"), add("VPN", 1, 50, 20, "linux")
	w.sensor, w.sensor2 = add("IDS", 1, 50, 30, "linux"), add("IDS", 2, 50, 31, "linux")
	w.web, w.web2 = add("WEB", 1, 40, 11, "linux"), add("WEB", 2, 40, 12, "linux")
	w.jump = add("ENG-JMP", 1, 70, 5, "windows")
	w.manager = &host{name: strings.ToLower(site) + "wazuh-01", ip: fmt.Sprintf("10.%d.50.40", net), os: "linux", agent: "000"}
	w.victimPC = add("FIN-WS", 14, 14, 31, "windows")
	for i, role := range []string{"FIN-WS", "SAL-WS", "HR-WS", "MKT-WS", "OPS-WS", "LOG-WS", "LAB-WS", "PRC-WS"} {
		w.desks = append(w.desks, add(role, 17+3*i, 14+i%3, 40+i, "windows"))
	}
	for i := range 3 {
		w.devs = append(w.devs, add("DEV-WS", 41+i, 18, 60+i, "windows"))
	}
	w.vpnLease = fmt.Sprintf("10.%d.80.%d", net, 23+n)
}

func width(role string) int {
	if strings.HasSuffix(role, "-WS") {
		return 3
	}
	return 2
}

// fqdn is the host's name in the company's domain.
func (w *world) fqdn(h *host) string { return h.name + "." + w.domain }

// upn is a person's name for signing in to the cloud.
func (w *world) upn(p person) string { return p.sam() + "@" + w.domain }

// logon is an account of the Windows domain.
func (w *world) logon(sam string) string { return w.netbios + `\` + sam }

// adm and da are the administrative accounts of people.
func adm(p person) string { return "adm-" + strings.ToLower(p.last) }

func da(p person) string { return "da-" + strings.ToLower(p.last) }

// at reads a time of the published day and gives the same moment of this story.
func (w *world) at(clock string) time.Time {
	t, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		panic("demo: " + err.Error()) // clock is a constant of this package
	}
	return w.start.Add(time.Duration(t.Hour()*3600+t.Minute()*60+t.Second())*time.Second - (6*time.Hour + 50*time.Minute))
}

// digest gives n hex digits that depend on the seed and the name alone, so that everything with
// the same name has the same id wherever it is mentioned.
func (w *world) digest(name string, n int) string {
	sum := sha256.Sum256([]byte(strconv.FormatUint(w.seed, 10) + "/" + name))
	text := hex.EncodeToString(sum[:])
	for len(text) < n {
		sum = sha256.Sum256(sum[:])
		text += hex.EncodeToString(sum[:])
	}
	return text[:n]
}

func (w *world) digits(name string, n int) string {
	b := []byte(w.digest(name, n))
	for i, c := range b {
		if c >= 'a' {
			b[i] = '0' + (c-'a')%10
		}
	}
	if b[0] == '0' {
		b[0] = '7'
	}
	return string(b)
}

func (w *world) number(name string, from, below int) int {
	v, _ := strconv.ParseUint(w.digest(name, 8), 16, 64)
	return from + int(v%uint64(below-from))
}

func (w *world) guid(name string) string { return guidOf(w.digest(name, 32)) }

// fixedGUID does not depend on the seed: rules have the same id in every company.
func fixedGUID(name string) string {
	sum := sha256.Sum256([]byte("rule/" + name))
	return guidOf(hex.EncodeToString(sum[:16]))
}

func guidOf(h string) string {
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

func (w *world) sid(account string) string {
	return fmt.Sprintf("S-1-5-21-%s-%s-%s-%d", w.digits("sid1", 10), w.digits("sid2", 9), w.digits("sid3", 10), w.number("rid/"+account, 1104, 9800))
}
