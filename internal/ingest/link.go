package ingest

import (
	"net/netip"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// MaxLinks is the number of link keys an alert may have.
const MaxLinks = 8

// Links collects the link keys of one alert: normalised, distinct, at most MaxLinks, strongest
// kinds first if they are added so. Values that would tie unrelated alerts together are left
// out. The zero value is ready.
type Links struct{ list []alert.Link }

// List returns what was collected.
func (l *Links) List() []alert.Link { return l.list }

func (l *Links) add(kind alert.LinkKind, value, ref string) {
	if value == "" || len(l.list) == MaxLinks || len(value) > 512 {
		return
	}
	for i := range l.list {
		if l.list[i].Kind == kind && l.list[i].Value == value {
			return
		}
	}
	l.list = append(l.list, alert.Link{Kind: kind, Value: value, Ref: ref})
}

// Process adds the global id of a process: a Sysmon GUID, an ECS entity id. image, where it is
// known, keeps out the processes under which everything on a host runs.
func (l *Links) Process(id, image, ref string) {
	id = strings.ToLower(strings.Trim(id, "{} "))
	if len(id) < 8 || strings.Trim(id, "0-") == "" || IsRootProcess(image) {
		return
	}
	l.add(alert.LinkProcess, id, ref)
}

// ProcessAt adds a process by host, process id and time of creation, for sources without ids
// of their own.
func (l *Links) ProcessAt(host, pid, created, image, ref string) {
	t, ok := ParseTime(created)
	if host == "" || pid == "" || pid == "0" || pid == "4" || !ok || IsRootProcess(image) {
		return
	}
	// Microsoft writes times in ticks, others in milliseconds.
	l.add(alert.LinkProcess, ShortHost(host)+"|"+strings.ToLower(pid)+"|"+t.Format("20060102T150405.000"), ref)
}

// Session adds a logon session by host and logon id. Sessions of the system and of machine
// accounts last as long as the host runs and are left out.
func (l *Links) Session(host, logonID, user, ref string) {
	id := strings.TrimLeft(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(logonID)), "0x"), "0")
	switch id {
	case "", "3e7", "3e4", "3e5", "3e3", "999", "996", "997", "-":
		return
	}
	if host == "" || IsSystemAccount(user) {
		return
	}
	l.add(alert.LinkSession, ShortHost(host)+"|"+id, ref)
}

// Source adds a remote address. own are the addresses of the reporting host.
func (l *Links) Source(addr, ref string, own ...string) {
	if len(l.list) == MaxLinks {
		return
	}
	ip, ok := RemoteAddress(addr)
	if !ok {
		return
	}
	for _, o := range own {
		if o, ok := RemoteAddress(o); ok && o == ip {
			return
		}
	}
	l.add(alert.LinkSource, ip, ref)
}

// RemoteAddress returns the canonical text of an address that can belong to one other host.
func RemoteAddress(s string) (string, bool) {
	s = strings.Trim(s, " []")
	ip, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return "", false
		}
		ip = ap.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast() ||
		ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return "", false
	}
	return ip.String(), true
}

// Hash adds a file hash. path, where it is known, keeps out the files that the operating
// system ships: their hash is the same on every host.
func (l *Links) Hash(h, path, ref string) {
	h = strings.ToLower(strings.TrimSpace(h))
	if !isHash(h) || isEmptyHash(h) || IsSystemFile(path) {
		return
	}
	l.add(alert.LinkHash, h, ref)
}

func isHash(h string) bool {
	if len(h) != 64 && len(h) != 40 && len(h) != 32 {
		return false
	}
	same := true
	for i := 0; i < len(h); i++ {
		if !isHex(h[i]) {
			return false
		}
		same = same && h[i] == h[0]
	}
	return !same
}

// isEmptyHash knows the hashes of zero bytes.
func isEmptyHash(h string) bool {
	switch h {
	case "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"d41d8cd98f00b204e9800998ecf8427e":
		return true
	}
	return false
}

// BestHash picks the strongest hash of a list in Sysmon's form, "SHA1=...,MD5=...,SHA256=...".
func BestHash(list string) string {
	var best string
	for part := range strings.SplitSeq(list, ",") {
		name, h, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			name, h = "", strings.TrimSpace(part)
		}
		if strings.EqualFold(name, "IMPHASH") || len(h) <= len(best) || !isHash(strings.ToLower(h)) {
			continue
		}
		best = h
	}
	return best
}

// Message adds the id of a mail message, without its angle brackets.
func (l *Links) Message(id, ref string) { l.id(alert.LinkMessage, strings.Trim(id, "<> "), ref) }

// Token adds the id of a sign-in session or token.
func (l *Links) Token(id, ref string) { l.id(alert.LinkToken, strings.TrimSpace(id), ref) }

// Key adds a cloud access key.
func (l *Links) Key(id, ref string) { l.id(alert.LinkKey, strings.TrimSpace(id), ref) }

func (l *Links) id(kind alert.LinkKind, id, ref string) {
	if len(id) < 8 || strings.Trim(id, "0-") == "" {
		return
	}
	l.add(kind, strings.ToLower(id), ref)
}

// ShortHost returns the first label of a host name in lower case, so that NetBIOS and DNS
// names of one host are equal; addresses stay whole.
func ShortHost(h string) string {
	h = strings.ToLower(strings.TrimSpace(h))
	if _, err := netip.ParseAddr(h); err == nil {
		return h
	}
	label, _, _ := strings.Cut(h, ".")
	return label
}

// IsSystemAccount reports whether the account is one of the operating system or of a machine.
func IsSystemAccount(user string) bool {
	u := strings.ToLower(CleanWindows(user))
	if i := strings.LastIndexByte(u, '\\'); i >= 0 {
		u = u[i+1:]
	}
	switch u {
	case "system", "local service", "network service", "localsystem":
		return true
	}
	return strings.HasSuffix(u, "$") || strings.HasPrefix(u, "dwm-") || strings.HasPrefix(u, "umfd-")
}

// IsRootProcess reports whether the image is one under which unrelated activity runs: the
// service manager, the shell of the desktop, init. Lineage through it says nothing.
func IsRootProcess(image string) bool {
	switch strings.TrimSuffix(BaseName(image), ".exe") {
	case "system", "registry", "idle", "smss", "csrss", "wininit", "winlogon", "services", "lsass", "svchost", "explorer",
		"userinit", "taskhostw", "sihost", "runtimebroker", "dllhost", "ntoskrnl", "init", "systemd", "launchd", "sshd", "cron", "crond":
		return true
	}
	return false
}

// BaseName returns the last part of a Windows or Unix path in lower case.
func BaseName(path string) string {
	path = strings.ToLower(CleanWindows(path))
	if i := strings.LastIndexAny(path, `\/`); i >= 0 {
		path = path[i+1:]
	}
	return strings.Trim(path, `" `)
}

// IsSystemFile reports whether the path lies where only the operating system and installers
// write, so that its hash is shared by every host.
func IsSystemFile(path string) bool {
	p := strings.ReplaceAll(strings.ToLower(CleanWindows(path)), `\`, "/")
	if len(p) > 2 && p[1] == ':' {
		p = p[2:]
	}
	for _, d := range systemFolders {
		if strings.HasPrefix(p, d) {
			return !strings.Contains(p, "/temp/") && !strings.Contains(p, "/spool/")
		}
	}
	return p == "/windows/explorer.exe"
}

var systemFolders = [...]string{
	"/windows/system32/", "/windows/syswow64/", "/windows/winsxs/", "/windows/microsoft.net/", "/windows/systemapps/", "/windows/assembly/", "/windows/servicing/",
	"/program files/", "/program files (x86)/", "/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/lib/", "/lib64/", "/system/library/",
}
