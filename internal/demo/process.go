package demo

import (
	"fmt"
	"strings"
	"time"
)

// process is a program that ran on a host, as Sysmon, Elastic and Defender would all see it:
// one process id and one GUID, whichever product reports it.
type process struct {
	name string // names the process for its ids
	host *host
	// user is DOMAIN\account; empty means SYSTEM. session names the logon session.
	user, session string
	image, cmd    string
	// original is the name compiled into the program, signer who signed it; empty: nobody did.
	original, signer, product string
	file                      string // names the file for its hash; the image by default
	integrity                 string
	cwd                       string
	parent                    *process
	at                        time.Time
}

const system = `NT AUTHORITY\SYSTEM`

// Signers.
const (
	windows   = "Microsoft Windows"
	microsoft = "Microsoft Corporation"
)

func (p *process) account() string {
	if p.user == "" {
		return system
	}
	return p.user
}

// bare is the account without its domain.
func bare(account string) string {
	return account[strings.LastIndexByte(account, '\\')+1:]
}

func base(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

func dir(path string) string {
	if i := strings.LastIndexAny(path, `\/`); i >= 0 {
		return path[:i]
	}
	return ""
}

func (p *process) level() string {
	switch {
	case p.integrity != "":
		return p.integrity
	case p.user == "":
		return "System"
	}
	return "Medium"
}

func (p *process) compiled() string {
	if p.original != "" {
		return p.original
	}
	return base(p.image)
}

func (w *world) processGUID(p *process) string {
	d := w.digest("guid/"+p.host.name+"/"+p.name, 12)
	t := fmt.Sprintf("%08x", p.at.Unix())
	return fmt.Sprintf("{%s-%s-%s-%s-%s}", w.digest("machine/"+p.host.name, 8), t[4:], t[:4], d[:4], d[4:]+"3500")
}

func (w *world) pid(p *process) int { return 4 * w.number("pid/"+p.host.name+"/"+p.name, 300, 4000) }

// logonID is the logon session of the process: that of the system, or one of its own.
func (w *world) logonID(p *process) string {
	if p.user == "" {
		return "0x3e7"
	}
	return w.session(p.host, p.session)
}

func (w *world) session(h *host, name string) string {
	return "0x" + strings.TrimLeft(w.digest("logon/"+h.name+"/"+name, 7), "0")
}

func (p *process) fileName() string {
	if p.file != "" {
		return p.file
	}
	return strings.ToLower(base(p.image))
}

func (w *world) sha256(p *process) string { return w.digest("sha256/"+p.fileName(), 64) }

func (w *world) hashes(p *process) string {
	f := p.fileName()
	return strings.ToUpper(fmt.Sprintf("SHA1=%s,MD5=%s,SHA256=%s,IMPHASH=%s", w.digest("sha1/"+f, 40), w.digest("md5/"+f, 32), w.sha256(p), w.digest("imphash/"+f, 32)))
}

// Processes that are the parents of many.

func (s *story) services(h *host) *process {
	return &process{name: "services", host: h, image: `C:\Windows\System32\services.exe`, cmd: `C:\Windows\system32\services.exe`, signer: windows, at: s.start.Add(-50 * time.Hour)}
}

func (s *story) scheduler(h *host) *process {
	return &process{name: "schedule", host: h, image: `C:\Windows\System32\svchost.exe`, cmd: `C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule`, signer: windows, at: s.start.Add(-50 * time.Hour)}
}

func (s *story) explorer(h *host, user, session string) *process {
	return &process{name: "explorer/" + user, host: h, user: user, session: session, image: `C:\Windows\explorer.exe`, cmd: `C:\Windows\Explorer.EXE`, signer: windows, at: s.start.Add(-25 * time.Minute)}
}

// child starts a program from p at a time; the caller fills in what else matters.
func (p *process) child(name string, at time.Time, image, cmd, signer string) *process {
	return &process{name: name, host: p.host, user: p.user, session: p.session, integrity: p.integrity, image: image, cmd: cmd, signer: signer, parent: p, at: at}
}

// as gives the process another account; empty is SYSTEM.
func (p *process) as(user, session, integrity string) *process {
	p.user, p.session, p.integrity = user, session, integrity
	return p
}

// Places of Windows.
const (
	sys32      = `C:\Windows\System32\`
	cmdExe     = sys32 + "cmd.exe"
	powershell = sys32 + `WindowsPowerShell\v1.0\powershell.exe`
)
