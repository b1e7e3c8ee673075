package intel

import "strings"

// canonicalPath brings a file path into the form in which paths of different users and
// machines compare: lower case, no doubled separators, and the directories that every
// machine has under another name by their variable.
func canonicalPath(v string) (string, error) {
	p := strings.Trim(v, "\"' ")
	windows := strings.Contains(p, `\`)
	if windows {
		p = strings.ReplaceAll(p, "/", `\`)
		p = squeeze(p, '\\')
		p = profileVariables(lower(p))
	} else {
		p = squeeze(p, '/')
	}
	sep := "/"
	if windows {
		sep = `\`
	}
	p = strings.TrimRight(p, sep)
	parts := 0
	for part := range strings.SplitSeq(p, sep) {
		if part != "" && !strings.HasSuffix(part, ":") && !strings.HasPrefix(part, "%") {
			parts++
		}
	}
	if parts < 2 && (!strings.HasPrefix(p, "%") || parts < 1) {
		return "", refuse(v, "a bare file name or a top directory matches too much")
	}
	return p, nil
}

// profileVariables replaces the directories of one user or one installation by variables.
func profileVariables(p string) string {
	for _, alias := range [...][2]string{
		{`%systemroot%\`, `%windir%\`}, {`%homepath%\`, `%userprofile%\`},
		{`%allusersprofile%\`, `%programdata%\`}, {`%tmp%\`, `%temp%\`},
		{`%programfiles(x86)%\`, `%programfiles%\`}, {`%systemdrive%\`, `c:\`},
	} {
		if strings.HasPrefix(p, alias[0]) {
			p = alias[1] + p[len(alias[0]):]
		}
	}
	// Only the drive's letter varies between machines.
	if len(p) > 2 && p[1] == ':' && p[2] == '\\' {
		rest := p[3:]
		switch {
		case strings.HasPrefix(rest, `users\`):
			if _, below, ok := strings.Cut(rest[len(`users\`):], `\`); ok {
				p = `%userprofile%\` + below
			}
		case strings.HasPrefix(rest, `windows\`):
			p = `%windir%\` + rest[len(`windows\`):]
		case strings.HasPrefix(rest, `programdata\`):
			p = `%programdata%\` + rest[len(`programdata\`):]
		case strings.HasPrefix(rest, `program files\`):
			p = `%programfiles%\` + rest[len(`program files\`):]
		case strings.HasPrefix(rest, `program files (x86)\`):
			p = `%programfiles%\` + rest[len(`program files (x86)\`):]
		}
	}
	for _, below := range [...][2]string{
		{`%userprofile%\appdata\local\temp\`, `%temp%\`},
		{`%localappdata%\temp\`, `%temp%\`},
		{`%userprofile%\appdata\roaming\`, `%appdata%\`},
		{`%userprofile%\appdata\local\`, `%localappdata%\`},
	} {
		if strings.HasPrefix(p, below[0]) {
			p = below[1] + p[len(below[0]):]
		}
	}
	return p
}

// canonicalRegistry brings a registry key into the short form of its hive; the hive of a
// user by SID is that of the current user.
func canonicalRegistry(v string) (string, error) {
	k := squeeze(lower(strings.Trim(v, "\"' ")), '\\')
	k = strings.TrimPrefix(strings.TrimRight(k, `\`), `computer\`)
	for _, hive := range hives {
		if strings.HasPrefix(k, hive[0]) {
			k = hive[1] + k[len(hive[0]):]
			break
		}
	}
	if sid, ok := strings.CutPrefix(k, `hku\s-1-5-21-`); ok {
		if _, below, found := strings.Cut(sid, `\`); found {
			k = `hkcu\` + below
		}
	}
	if !strings.HasPrefix(k, "hk") || strings.Count(k, `\`) < 2 {
		return "", refuse(v, "a registry key needs a hive and at least two keys below it")
	}
	for _, shared := range [...]string{`\currentversion\run`, `\currentversion\runonce`, `\currentcontrolset\services`, `\currentversion\policies`} {
		if strings.HasSuffix(k, shared) {
			return "", refuse(v, "every machine has this key")
		}
	}
	return k, nil
}

var hives = [...][2]string{
	{`hkey_local_machine\`, `hklm\`}, {`hkey_current_user\`, `hkcu\`}, {`hkey_users\`, `hku\`},
	{`hkey_classes_root\`, `hkcr\`}, {`hkey_current_config\`, `hkcc\`},
	{`\registry\machine\`, `hklm\`}, {`\registry\user\`, `hku\`},
	{`hklm:\`, `hklm\`}, {`hkcu:\`, `hkcu\`},
}

func isRegistry(v string) bool {
	v = lower(v)
	for _, prefix := range [...]string{`hkey_`, `hklm\`, `hklm:\`, `hkcu\`, `hkcu:\`, `hku\`, `hkcr\`, `hkcc\`, `\registry\`} {
		if strings.HasPrefix(v, prefix) {
			return true
		}
	}
	return false
}

// squeeze makes one of every run of the separator, but for the two that start a UNC path.
func squeeze(s string, sep byte) string {
	double := string([]byte{sep, sep})
	lead := ""
	if sep == '\\' && strings.HasPrefix(s, double) {
		lead, s = double, strings.TrimLeft(s, `\`)
	}
	for strings.Contains(s, double) {
		s = strings.ReplaceAll(s, double, double[:1])
	}
	return lead + s
}
