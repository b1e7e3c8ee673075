package redact

import "strings"

func words(list string) *wordTable {
	m := make(map[string]uint16)
	for _, w := range strings.Fields(list) {
		m[w] = 1
	}
	return newWordTable(m)
}

func stringSet(list string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(list) {
		m[w] = true
	}
	return m
}

// builtIn are accounts that every installation of a system has: they name nobody.
var builtIn = words(`system root administrator admin guest nobody daemon bin sys sync games man lp mail news
	uucp proxy backup list irc gnats sshd messagebus syslog ntp nginx apache www www-data postgres mysql
	redis mongodb docker systemd systemd-network systemd-resolve systemd-timesync dbus polkitd halt shutdown
	operator ftp tss chrony rpc rpcuser nfsnobody _apt krbtgt defaultaccount wdagutilityaccount
	defaultuser0 localsystem networkservice localservice iusr iwam anonymous everyone unknown public default
	shared self owner none null empty localsystem na n/a users interactive authenticated trustedinstaller
	ipc$ admin$ print$ c$ d$ e$ netlogon sysvol azuread ec2-user ubuntu wsiaccount local service network dwm umfd`)

var builtInPhrases = stringSet(`local_service network_service local_system anonymous_logon nt_authority
	creator_owner all_users default_user font_driver_host window_manager authenticated_users not_available
	not_applicable`)

// wellKnownAccount reports names that stay.
func wellKnownAccount(v string) bool {
	v = strings.ToLower(strings.TrimSpace(v))
	if v == "" || v == "-" || builtIn.has(v) || builtInPhrases[strings.Join(strings.Fields(v), "_")] {
		return true
	}
	for _, p := range []string{"dwm-", "umfd-"} {
		if rest, ok := strings.CutPrefix(v, p); ok && plainNumber(rest) {
			return true
		}
	}
	return false
}

var systemDomains = stringSet(`nt_authority builtin workgroup window_manager font_driver_host nt_service iis_apppool
	azuread mshome microsoftaccount nt_virtual_machine application_package_authority localhost . - n/a null none`)

// wellKnownDomain reports NetBIOS domains that every installation has.
func wellKnownDomain(v string) bool {
	return systemDomains[strings.Join(strings.Fields(strings.ToLower(v)), "_")]
}

// providerDomains give mailboxes to everybody.
var providerDomains = stringSet(`gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com icloud.com
	me.com aol.com gmx.de gmx.net gmx.com web.de mail.ru yandex.ru protonmail.com proton.me qq.com 163.com`)

// privateTLDs are top-level domains that nobody can own on the Internet.
var privateTLDs = words(`local internal intranet lan corp home localdomain private domain priv intra`)

// everyday are words that a value may be and that text is full of: as a name they count only
// where a name is expected.
var everyday = words(`user users host hosts server servers client clients computer machine device devices agent agents manager
	service services domain name names account accounts test admin security https http www data database app application
	process file files path log event events alert alerts rule network internet local remote default public private
	internal external windows linux system root login logon password token session key value id type status state time date
	source destination src dst target subject message description title severity high medium low critical true false
	null none unknown the and for from with to of in on by at is was not no yes or an as be it group role action
	version level count number detail details info warning error failed success other new old mail email web`)

// proseWords follow "user" or "password" in sentences and are neither.
var proseWords = words(`information command commands details list profile response the a an is was has had have and or not to of in on by for with from who that this these those
	account accounts name names login logged logon policy must changed change reset expired required incorrect invalid
	field prompt manager hash hashes file files spray spraying attack attempt attempts authentication auth
	null none true false empty nil undefined unknown yes no n/a na redacted removed hidden masked are were will
	can could should may did does do been being if when while as at it its id ids type agent mode group groups
	rights session sessions data input error errors failed failure success successful new old current default
	be user users password passwords via using set sets only also than then but because into within without
	reported opened clicked granted activity behavior behaviour risk added removed created deleted modified
	principal assigned tried tries enabled disabled locked unlocked received sent accessed performed`)

// fileTypes end file names, not host names and mail domains.
var fileTypes = words(`exe dll sys bat cmd ps1 psm1 vbs js jse hta lnk msi msu cab zip rar gz tgz 7z tar iso img vhd txt log
	csv json xml yaml yml ini conf cfg dat tmp bak doc docx docm xls xlsx xlsm ppt pptx pdf rtf png jpg jpeg gif
	svg ico html htm php asp aspx jsp py rb pl sh so jar class war cpl scr pif ocx drv inf reg evtx pcap key pem
	crt cer pfx p12 db sqlite mdb bin elf deb rpm apk service socket timer target mount slice scope`)
