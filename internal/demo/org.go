package demo

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// organisation is org.yaml: who and what the company has, and what it expects.
type organisation struct {
	Domains           []orgDomain   `yaml:"domains"`
	Hosts             []orgHost     `yaml:"hosts"`
	Administrators    []orgAdmin    `yaml:"administrators"`
	Scanners          []string      `yaml:"scanners"`
	ManagementServers []string      `yaml:"management_servers"`
	BackupServers     []string      `yaml:"backup_servers"`
	BuildServers      []string      `yaml:"build_servers"`
	MailGateways      []string      `yaml:"mail_gateways"`
	NATOrProxy        []string      `yaml:"nat_or_proxy"`
	Windows           []orgWindow   `yaml:"maintenance_windows"`
	Exercises         []orgExercise `yaml:"exercises"`
}

type orgDomain struct {
	NetBIOS string   `yaml:"netbios"`
	DNS     []string `yaml:"dns,flow"`
}

type orgHost struct {
	Name      string   `yaml:"name"`
	Addresses []string `yaml:"addresses,flow"`
	// Criticality is crown_jewel where the company stands still without the host.
	Criticality string `yaml:"criticality,omitempty"`
}

type orgAdmin struct {
	Name     string   `yaml:"name"`
	Accounts []string `yaml:"accounts,flow"`
	Hosts    []string `yaml:"hosts,flow"`
	Tools    []string `yaml:"tools,flow"`
}

type orgWindow struct {
	What  string    `yaml:"what"`
	Hosts []string  `yaml:"hosts,flow"`
	From  time.Time `yaml:"from"`
	To    time.Time `yaml:"to"`
}

type orgExercise struct {
	What          string    `yaml:"what"`
	Senders       []string  `yaml:"senders,flow"`
	SenderDomains []string  `yaml:"sender_domains,flow"`
	Addresses     []string  `yaml:"addresses,flow"`
	From          time.Time `yaml:"from"`
	To            time.Time `yaml:"to"`
}

// Organisation is the company's org.yaml. It names people, hosts and appointments, as a
// company knows them; nothing in it was written for one alert.
func Organisation(seed uint64) ([]byte, error) {
	w := newWorld(seed)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What %s has and expects. Evidence rules read it to tell known activity from hostile.\n", w.domain)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(w.organisation()), enc.Close()); err != nil {
		return nil, fmt.Errorf("demo: organisation: %w", err)
	}
	return b.Bytes(), nil
}

func (w *world) organisation() organisation {
	names := func(hosts ...*host) (out []string) {
		for _, h := range hosts {
			out = append(out, w.fqdn(h))
		}
		return out
	}
	return organisation{
		Domains: []orgDomain{{w.netbios, []string{w.domain}}}, Hosts: w.inventory(), Administrators: w.administrators(names),
		Scanners: append(names(w.scan, w.scan2), w.scanEgress), ManagementServers: names(w.mgmt, w.config), BackupServers: names(w.backup, w.backup2),
		BuildServers: append(names(w.build, w.buildLinux), w.buildEgress), MailGateways: names(w.mail), NATOrProxy: append(names(w.proxy, w.vpn), w.egress, w.vpnGate),
		Windows: []orgWindow{
			{"password of " + w.service[w.apps[0]] + " is changed (CHG-20844)", names(w.app1, w.app2, w.sql), w.at("07:00:00"), w.at("08:59:00")},
			{"agent of configuration management is updated (CHG-20850)", names(w.config), w.at("06:00:00"), w.at("10:00:00")},
		},
		Exercises: []orgExercise{{
			What: "phishing simulation, announced to the security team", Senders: []string{"facility@" + w.drillDomain()}, SenderDomains: []string{w.drillDomain(), "parking." + w.drillDomain()},
			Addresses: []string{"198.51.100.201", "198.51.100.202"}, From: w.at("06:00:00"), To: w.at("18:00:00"),
		}},
	}
}

func (w *world) inventory() []orgHost {
	var out []orgHost
	for _, h := range w.hosts {
		o := orgHost{Name: w.fqdn(h), Addresses: []string{h.ip}}
		if h == w.dc || h == w.dc2 || h == w.backup || h == w.jump {
			o.Criticality = "crown_jewel"
		}
		out = append(out, o)
	}
	return out
}

func (w *world) administrators(names func(...*host) []string) []orgAdmin {
	remote := []string{"PsExec64.exe", "quser.exe", "net.exe", "sc.exe", "powershell.exe", "cmd.exe"}
	return []orgAdmin{
		{"helpdesk", []string{w.logon(adm(w.helpdesk)), w.logon(adm(w.helpdesk2))}, names(w.mgmt), remote},
		{"domain administration", []string{w.logon(da(w.backupAdmin))}, names(w.mgmt, w.dc, w.dc2), []string{"mmc.exe", "powershell.exe"}},
		{"build", []string{w.logon("svc-build")}, names(w.build, w.buildLinux), []string{"powershell.exe", "csc.exe", "node.exe"}},
		{"backup", []string{w.logon("svc-backup")}, names(w.backup, w.backup2), []string{"Veeam.EndPoint.Service.exe", "vssadmin.exe", "wbadmin.exe", "diskshadow.exe"}},
	}
}
