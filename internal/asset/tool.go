package asset

import (
	"slices"
	"strings"
)

// path is the path of a program taken apart. Components of a Windows path are folded, those
// of a Unix path as they are.
type path struct {
	windows bool
	drive   byte // 'c'
	parts   []string
}

// parsePath reads a whole path. It refuses what may lead elsewhere than it seems: relative
// paths, "..", streams, devices and shares.
func parsePath(s string) (path, bool) {
	s = stated(s)
	if strings.HasPrefix(s, "/") {
		parts, ok := components(s, "/")
		return path{parts: parts}, ok
	}
	s = fold(strings.ReplaceAll(s, "/", `\`))
	s = strings.TrimPrefix(strings.TrimPrefix(s, `\\?\`), `\??\`)
	if len(s) < 4 || s[0] < 'a' || s[0] > 'z' || s[1] != ':' || s[2] != '\\' || strings.Contains(s[2:], ":") {
		return path{}, false
	}
	parts, ok := components(s[3:], `\`)
	for _, p := range parts {
		// Windows drops dots and spaces at the end of a name: the file is another.
		ok = ok && strings.TrimRight(p, ". ") == p
	}
	return path{windows: true, drive: s[0], parts: parts}, ok
}

func components(s, separator string) ([]string, bool) {
	var parts []string
	for p := range strings.SplitSeq(s, separator) {
		if p == "." || p == ".." || strings.ContainsRune(p, 0) {
			return nil, false
		}
		if p != "" {
			parts = append(parts, p)
		}
	}
	return parts, len(parts) > 0
}

func (p path) base() string { return p.parts[len(p.parts)-1] }

// below reports whether the path lies in a folder that the table lists, of the same system.
func (p path) below(table []string) bool {
	for _, dir := range table {
		want := strings.Split(dir, "/")
		if len(want) < len(p.parts) && globParts(want, p.parts[:len(want)]) {
			return true
		}
	}
	return false
}

// Folders in which only administrators and installers write, and those inside and outside
// them that every user may write. Windows folders lie on the system drive; other drives may be
// a stick or an image that a user brought.
var (
	adminWindows = []string{"windows", "program files", "program files (x86)"}
	adminUnix    = []string{"bin", "sbin", "lib", "lib64", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/libexec", "usr/share",
		"usr/local/bin", "usr/local/sbin", "usr/local/lib", "usr/local/libexec", "opt", "snap", "System", "Library"}
	userWindows = []string{"users", "documents and settings", "programdata", "temp", "tmp", "perflogs", "$recycle.bin", "recycler", "inetpub",
		"windows/temp", "windows/tasks", "windows/tracing", "windows/debug/wia", "windows/registration/crmlog",
		"windows/system32/tasks", "windows/syswow64/tasks", "windows/system32/fxstmp", "windows/syswow64/fxstmp",
		"windows/system32/com/dmp", "windows/syswow64/com/dmp", "windows/system32/spool/drivers/color", "windows/system32/spool/printers",
		"windows/system32/spool/servers", "windows/system32/microsoft/crypto/rsa/machinekeys", "windows/system32/catroot2",
		"windows/microsoft.net/*/*/temporary asp.net files", "windows/servicing/sessions", "windows/servicing/packages", "windows/downloaded program files"}
	userUnix = []string{"tmp", "var/tmp", "dev", "run/user", "home", "Users", "media", "mnt", "private/tmp", "private/var/tmp", "proc", "Volumes"}
)

func (p path) adminOnly(further []path) bool {
	for _, d := range further {
		if d.holds(p) {
			return true
		}
	}
	if !p.windows {
		return p.below(adminUnix)
	}
	return p.drive == 'c' && p.below(adminWindows) && !p.below(userWindows)
}

func (p path) userWritable(further []path) bool {
	for _, d := range further {
		if d.holds(p) {
			return false
		}
	}
	if !p.windows {
		return p.below(userUnix)
	}
	return p.below(userWindows)
}

// holds reports whether q lies in the folder p.
func (p path) holds(q path) bool {
	return p.windows == q.windows && p.drive == q.drive && len(p.parts) < len(q.parts) && slices.Equal(p.parts, q.parts[:len(p.parts)])
}

// tool is a program of administrators: a file name, which must lie where only administrators
// write, or a whole path with wildcards that never cross a folder.
type tool struct {
	base string
	path path
}

func (t *tool) matches(p path, dirs []path) bool {
	if t.base != "" {
		same := p.base() == t.base
		if p.windows {
			base := fold(t.base)
			same = p.base() == base || !strings.Contains(base, ".") && p.base() == base+".exe"
		}
		return same && p.adminOnly(dirs)
	}
	return p.windows == t.path.windows && p.drive == t.path.drive && len(p.parts) == len(t.path.parts) &&
		globParts(t.path.parts, p.parts) && !p.userWritable(dirs)
}

func globParts(pattern, parts []string) bool {
	for i := range pattern {
		if !glob(pattern[i], parts[i]) {
			return false
		}
	}
	return true
}

// glob matches a whole text; * stands for any characters, ? for one byte. It takes time in
// proportion to the product of the lengths at worst.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Folders that belong to users whatever a file says.
var (
	homesWindows = []string{"users", "documents and settings", "temp", "tmp", "$recycle.bin", "recycler", "windows/temp", "windows/tasks"}
	homesUnix    = []string{"tmp", "var/tmp", "dev", "run/user", "home", "Users", "private/tmp", "private/var/tmp", "proc"}
)

func (b *builder) directories() {
	for _, e := range b.raw.adminDirs {
		p, ok := parsePath(e.text)
		switch {
		case !ok || strings.ContainsAny(e.text, "*?%"):
			b.fail(e.line, `admin_directories: %q is not the whole path of a folder; write C:\Tools or /srv/tools`, clip(e.text))
		case !p.trustworthy():
			b.fail(e.line, "admin_directories: users can write to %q or to folders in it; name a folder that only administrators change", clip(e.text))
		default:
			b.site.dirs = append(b.site.dirs, p)
		}
	}
}

// trustworthy reports whether a folder is neither one of users nor contains one.
func (p path) trustworthy() bool {
	homes, user := homesUnix, userUnix
	if p.windows {
		homes, user = homesWindows, userWindows
	}
	inside := p
	inside.parts = append(slices.Clone(p.parts), "x")
	if inside.below(homes) {
		return false
	}
	for _, dir := range user {
		parts := strings.Split(dir, "/")
		if len(p.parts) <= len(parts) && slices.Equal(p.parts, parts[:len(p.parts)]) {
			return false
		}
	}
	return true
}

func (b *builder) tool(e entry) (tool, bool) {
	const what = "tools"
	if !strings.ContainsAny(e.text, `\/`) {
		if strings.ContainsAny(e.text, "*?%:") {
			b.fail(e.line, "%s: %q has a wildcard; write the whole path, in which * stands inside one folder", what, clip(e.text))
			return tool{}, false
		}
		return tool{base: stated(e.text)}, true
	}
	p, ok := parsePath(e.text)
	switch {
	case !ok || strings.Contains(e.text, "%"):
		b.fail(e.line, `%s: %q is not a whole path; write C:\Program Files\Example\tool.exe or /usr/sbin/tool`, what, clip(e.text))
	case len(p.parts) < 2 || strings.ContainsAny(p.parts[0], "*?"):
		b.fail(e.line, "%s: %q names no folder; write at least the first folder without wildcards", what, clip(e.text))
		ok = false
	case strings.Trim(p.base(), "*?") == "":
		b.fail(e.line, "%s: %q stands for every program of a folder; name the programs", what, clip(e.text))
		ok = false
	case p.userWritable(b.site.dirs):
		b.fail(e.line, "%s: every user can write to the folder of %q, so the name proves nothing; install it where only administrators write, or list its folder under admin_directories if that is so", what, clip(e.text))
		ok = false
	}
	return tool{path: p}, ok && !strings.Contains(e.text, "%")
}
