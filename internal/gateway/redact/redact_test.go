package redact

import (
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

var testKey = Key{1, 2, 3}

func plain(t testing.TB, known ...Known) *Session {
	t.Helper()
	return New(DefaultPolicy()).Session(testKey, known)
}

// shown replaces tokens by their class in angle brackets, so that tests read well.
func shown(text string) string {
	var b strings.Builder
	at := 0
	for from := 0; ; {
		s, ok := nextShape(text, from)
		if !ok {
			b.WriteString(text[at:])
			return b.String()
		}
		if s.whole {
			b.WriteString(text[at:s.start] + "<" + s.class.String() + ">")
			at = s.end
		}
		from = s.end
	}
}

func TestWhatIsReplaced(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		// mail
		{"write to ada.lovelace@example.com now", "write to <MAIL> now"},
		{"<ada@mail.example.org>", "<<MAIL>>"},
		{"ada@ws-07.corp.local", "<USER>@<DOMAIN>"},
		{"npm install left-pad@1.3.0", "npm install left-pad@1.3.0"},
		{"sshd@2.service started", "sshd@2.service started"},
		{"ada%40example.com", "<MAIL>"},
		// addresses
		{"from 10.20.30.40:443 to 203.0.113.9", "from <IP>:443 to 203.0.113.9"},
		{"192[.]168[.]1[.]7", "<IP>"},
		{"9.2.1.10.in-addr.arpa 10.9.2.203.in-addr.arpa", "<IP>.in-addr.arpa 10.9.2.203.in-addr.arpa"},
		{"1.3.6.1.4.1.10.1.2.3 is an OID", "1.3.6.1.4.1.10.1.2.3 is an OID"},
		{"+10.1.2.3 (10.1.2.3) (10) 10.1.2.3", "+<IP> (<IP>) (10) <IP>"},
		{"192.168.0.0/16", "<IP>/16"},
		{"127.0.0.1 0.0.0.0 169.254.169.254 8.8.8.8", "127.0.0.1 0.0.0.0 169.254.169.254 8.8.8.8"},
		{"172.15.0.1 172.16.0.1 172.31.255.254 172.32.0.1", "172.15.0.1 <IP> <IP> 172.32.0.1"},
		{"fe80::1ff:fe23:4567:890a and fd12:3456::1, ::1, 2001:db8::5", "<IP> and <IP>, ::1, 2001:db8::5"},
		{"::ffff:10.1.2.3 64:ff9b::10.1.2.3 64:ff9b::203.0.113.9", "<IP> <IP> 64:ff9b::203.0.113.9"},
		{"version 10.0.26100.4202 at 10:01:43", "version 10.0.26100.4202 at 10:01:43"},
		// hardware
		{"00:1B:44:11:3a:b7 00-1B-44-11-3A-B7 001b.4411.3ab7", "<MAC> <MAC> <MAC>"},
		{"ff:ff:ff:ff:ff:ff 00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff 00:00:00:00:00:00"},
		// SIDs
		{"S-1-5-21-1004336348-1177238915-682003330-512", "<SID>"},
		{"S-1-5-18 S-1-5-32-544 S-1-1-0", "S-1-5-18 S-1-5-32-544 S-1-1-0"},
		{"S-1-12-1-1337-42-7-9", "<SID>"},
		// accounts
		{`CONTOSO\ada ran it`, `<DOMAIN>\<USER> ran it`},
		{`"user":"CONTOSO\\ada"`, `"user":"<DOMAIN>\\<USER>"`},
		{`NT AUTHORITY\SYSTEM and BUILTIN\Administrators`, `NT AUTHORITY\SYSTEM and BUILTIN\Administrators`},
		{`HKLM\Software\Microsoft`, `HKLM\Software\Microsoft`},
		{`C:\WINDOWS\system32\cmd.exe`, `C:\WINDOWS\system32\cmd.exe`},
		{"Account Name:\t\tada.l\n", "Account Name:\t\t<USER>\n"},
		{"TargetUserName=ada SubjectUserName=SYSTEM", "TargetUserName=<USER> SubjectUserName=SYSTEM"},
		{"Failed password for invalid user ada from 203.0.113.9 port 22", "Failed password for invalid user <USER> from 203.0.113.9 port 22"},
		{"Accepted publickey for ada from 10.0.0.9", "Accepted publickey for <USER> from <IP>"},
		{"session opened for user ada(uid=1000) by (uid=0)", "session opened for user <USER>(uid=1000) by (uid=0)"},
		{"session opened for user root by (uid=0)", "session opened for user root by (uid=0)"},
		{"for the user from abroad", "for the user from abroad"},
		{`runas /user:CONTOSO\ada cmd`, `runas /user:<DOMAIN>\<USER> cmd`},
		{`"user":{"name":"ada","id":"1000"}`, `"user":{"name":"ada","id":"1000"}`},
		{"user.name: ada host.name: ws-07", "user.name: <USER> host.name: <HOST>"},
		{`"initiatedBy":"Ada Lovelace"`, `"initiatedBy":"<PERSON>"`},
		{"User ada.l logged in from 10.0.0.5", "User <USER> logged in from <IP>"},
		{"Account Name: ada Account Domain: ACME Logon ID: 0x3E7", "Account Name: <USER> Account Domain: <DOMAIN> Logon ID: 0x3E7"},
		{"Account Name: SYSTEM Account Domain: NT AUTHORITY", "Account Name: SYSTEM Account Domain: NT AUTHORITY"},
		{"CN=Ada Lovelace,OU=Staff,DC=acme,DC=com", "CN=<PERSON>,OU=Staff,DC=acme,DC=com"},
		{"CN=Domain Admins,CN=Users,DC=acme CN=Microsoft Windows, O=Microsoft Corporation", "CN=Domain Admins,CN=Users,DC=acme CN=Microsoft Windows, O=Microsoft Corporation"},
		{"arn:aws:iam::123456789012:user/ada arn:aws:s3:::bucket/x", "arn:aws:iam::<GUID>:user/<USER> arn:aws:s3:::bucket/x"},
		{"scp x ada@build-7:/tmp", "scp x <USER>@<HOST>:/tmp"},
		// homes
		{`C:\Users\ada\AppData\x.exe`, `C:\Users\<USER>\AppData\x.exe`},
		{`C:\\Users\\Ada Lovelace\\Desktop`, `C:\\Users\\<USER>\\Desktop`},
		{`C:\Users\Public\x.exe`, `C:\Users\Public\x.exe`},
		{"/home/ada/.ssh/id_rsa /Users/ada/Library /root/x", "/home/<USER>/.ssh/id_rsa /Users/<USER>/Library /root/x"},
		{"GET /api/users/list", "GET /api/users/list"},
		// hosts
		{`\\FS01\share$\x and \\203.0.113.9\c$`, `\\<HOST>\share$\x and \\203.0.113.9\c$`},
		{`"path":"\\\\FS01\\share"`, `"path":"\\\\<HOST>\\share"`},
		{`\\?\C:\x \\.\pipe\evil`, `\\?\C:\x \\.\pipe\evil`},
		{`"\\Device\\HarddiskVolume3\\x"`, `"\\Device\\HarddiskVolume3\\x"`},
		{"ws-07.corp.local resolved www.example.com", "<HOST>.<DOMAIN> resolved www.example.com"},
		{"Computer: WS-07", "Computer: <HOST>"},
		{"Host: www.example.com", "Host: www.example.com"},
		{`"dest_host":"SRV-DB01"`, `"dest_host":"<HOST>"`},
		{"ip-10-0-2-14 ip-10-0-2", "<HOST> ip-10-0-2"},
		{"System.Management.Automation.dll", "System.Management.Automation.dll"},
		{"/home/x/.local/share", "/home/<USER>/.local/share"},
		// ids
		{`"tenantId":"0b7c9a52-1f6e-4a8b-9c3d-2e4f5a6b7c8d"`, `"tenantId":"<GUID>"`},
		{"/subscriptions/0b7c9a52-1f6e-4a8b-9c3d-2e4f5a6b7c8d/resourceGroups", "/subscriptions/<GUID>/resourceGroups"},
		{"Device ID = {0b7c9a52-1f6e-4a8b-9c3d-2e4f5a6b7c8d}", "Device ID = {<GUID>}"},
		{"ProviderGuid: {5770385f-c22a-43e0-bf4c-06f5698ffbd9}", "ProviderGuid: {5770385f-c22a-43e0-bf4c-06f5698ffbd9}"},
		// numbers of people
		{"call +44 20 7946 0958 or (555) 010-9999 or 555-010-1234", "call <PHONE> or <PHONE> or <PHONE>"},
		{"pid 4211 took 1699 ms on 2026-03-04 10:00:00", "pid 4211 took 1699 ms on 2026-03-04 10:00:00"},
		{"card 4111 1111 1111 1111, 4111111111111111, not 4111111111111112", "card <CARD>, <CARD>, not 4111111111111112"},
		{"GB82 WEST 1234 5698 7654 32 GB82WEST12345698765432 GB83WEST12345698765432", "<IBAN> <IBAN> GB83WEST12345698765432"},
		{"ref 078-05-1120", "ref <NATID>"},
		{"ref 000-12-3456 and 666-12-3456 and 123-00-4567", "ref 000-12-3456 and 666-12-3456 and 123-00-4567"},
		{"131052-308T and 131052-308U", "<NATID> and 131052-308U"},
		{"DNI 12345678Z", "DNI <NATID>"},
		{"CPF 111.444.777-35", "CPF <NATID>"},
		// what stays
		{"d41d8cd98f00b204e9800998ecf8427e CVE-2024-3094 T1059.001", "d41d8cd98f00b204e9800998ecf8427e CVE-2024-3094 T1059.001"},
		{"powershell.exe -NoProfile -EncodedCommand SQBFAFgAIAAoAE4AZQB3AC0A", "powershell.exe -NoProfile -EncodedCommand SQBFAFgAIAAoAE4AZQB3AC0A"},
		{"https://evil.example.net/a?b=c", "https://evil.example.net/a?b=c"},
	} {
		s := plain(t)
		got := s.Redact(c.in)
		if shown(got) != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.in, shown(got), c.want)
		}
		if back, unknown := s.Restore(got); back != c.in || unknown != nil {
			t.Errorf("%q came back as %q, unknown %q", c.in, back, unknown)
		}
	}
}

func TestSecretsAreRemoved(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"password=hunter2", "password=SECRET_PASSWORD"},
		{`{"password":"a b\"c","n":1}`, `{"password":"SECRET_PASSWORD","n":1}`},
		{`{\"password\":\"hunter2\"}`, `{\"password\":\"SECRET_PASSWORD\"}`},
		{"DB_PASSWORD: s3cr3t!", "DB_PASSWORD: SECRET_PASSWORD"},
		{"Server=db;User Id=app;Password=p@ss;Encrypt=true", "Server=db;User Id=app;Password=SECRET_PASSWORD;Encrypt=true"},
		{"password policy was changed; the password must be reset", "password policy was changed; the password must be reset"},
		{"password: expired", "password: expired"},
		{"password=${DB_PASSWORD}", "password=${DB_PASSWORD}"},
		{"the password is hunter2", "the password is SECRET_PASSWORD"},
		{"tool --password hunter2 --verbose", "tool --password SECRET_PASSWORD --verbose"},
		{"tool --password=hunter2", "tool --password=SECRET_PASSWORD"},
		{"mysql -u app -phunter2 db", "mysql -u app -pSECRET_PASSWORD db"},
		{"psexec.exe \\\\203.0.113.9 -u bob -p hunter2 cmd", "psexec.exe \\\\203.0.113.9 -u bob -p SECRET_PASSWORD cmd"},
		{"mkdir -p target/x && cp -p a b; ssh -p 2222 h", "mkdir -p target/x && cp -p a b; ssh -p 2222 h"},
		{"net user mallory P@ssw0rd1 /add", "net user <USER> SECRET_PASSWORD /add"},
		{"net user /domain", "net user /domain"},
		{"ET ATTACK_RESPONSE Net User Command Response", "ET ATTACK_RESPONSE Net User Command Response"},
		{"Gathered user information from the desktop", "Gathered user information from the desktop"},
		{`CORP\IPC$ and CORP\bob`, `<DOMAIN>\IPC$ and <DOMAIN>\<USER>`},
		{`net use Z: \\203.0.113.9\c$ P@ss1 /user:mallory`, `net use Z: \\203.0.113.9\c$ SECRET_PASSWORD /user:<USER>`},
		{"curl -u app:hunter2 https://example.com", "curl -u <USER>:SECRET_PASSWORD https://example.com"},
		{"https://bob:hunter2@example.com/x", "https://bob:SECRET_CREDENTIAL@example.com/x"},
		{"Authorization: Bearer abcdefghijklmnop.qrst", "Authorization: Bearer SECRET_CREDENTIAL"},
		{"Authorization: Basic dXNlcjpodW50ZXIy\r\nHost: x", "Authorization: Basic SECRET_CREDENTIAL\r\nHost: x"},
		{"Cookie: sid=abc; theme=dark\nAccept: */*", "Cookie: SECRET_COOKIE\nAccept: */*"},
		{"JSESSIONID=0123456789ABCDEF0123", "JSESSIONID=SECRET_COOKIE"},
		{"AKIAIOSFODNN7EXAMPLE", "SECRET_CLOUD_KEY"},
		{"aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "aws_secret_access_key = SECRET_TOKEN"},
		{"ghp_012345678901234567890123456789abcdef", "SECRET_TOKEN"},
		{"x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIz y", "x SECRET_TOKEN y"},
		{"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- after", "SECRET_PRIVATE_KEY after"},
		{"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----"},
		{"sekurlsa::pth /user:ada /ntlm:cc36cf7a8514893efccd332446158b1a", "sekurlsa::pth /user:<USER> /ntlm:SECRET_PASSWORD_HASH"},
		{"secretsdump -hashes aad3b435b51404eeaad3b435b51404ee:cc36cf7a8514893efccd332446158b1a", "secretsdump -hashes SECRET_PASSWORD_HASH"},
		{"$krb5tgs$23$*svc$CORP.EXAMPLE$http/x*$0123456789abcdef$0123", "SECRET_PASSWORD_HASH"},
		{"root:$6$saltsalt$abcdefghijklmnopqrstuvwxyz:19000:", "root:SECRET_PASSWORD_HASH:19000:"},
		{"PublicKeyToken=31bf3856ad364e35", "PublicKeyToken=31bf3856ad364e35"},
		{"TokenElevationType: %%1936", "TokenElevationType: %%1936"},
		{"sudo: PWD=/root ; USER=root", "sudo: PWD=/root ; USER=root"},
		{`ConvertTo-SecureString "P@ss w0rd" -AsPlainText`, `ConvertTo-SecureString "SECRET_PASSWORD" -AsPlainText`},
		{"wmiexec.py CORP/ada:P4ss@10.0.0.5", "wmiexec.py <DOMAIN>/<USER>:SECRET_PASSWORD@<IP>"},
		{"mongodb+srv://u:p%40ss@cluster0.example.net", "mongodb+srv://u:SECRET_CREDENTIAL@cluster0.example.net"},
		{"cmdkey /add:srv01 /user:bob /pass:P@ss", "cmdkey /add:srv01 /user:<USER> /pass:SECRET_PASSWORD"},
		{"xfreerdp /u:bob /p:P@ss /v:203.0.113.1", "xfreerdp /u:bob /p:SECRET_PASSWORD /v:203.0.113.1"},
		{`schtasks /create /ru CORP\bob /rp P@ss`, `schtasks /create /ru <DOMAIN>\<USER> /rp SECRET_PASSWORD`},
		{"aws configure set aws_secret_access_key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws configure set aws_secret_access_key SECRET_TOKEN"},
		{"Administrator:500:aad3b435b51404eeaad3b435b51404ee:31d6cfe0d16ae931b73c59d7e0c089c0:::", "Administrator:500:SECRET_PASSWORD_HASH:::"},
		{`net use \\203.0.113.5\ipc$ "P@ss word" /user:"CORP\bob"`, `net use \\203.0.113.5\ipc$ "SECRET_PASSWORD" /user:"<DOMAIN>\<USER>"`},
		{"AccountKey=abcdEFGH1234567890abcdEFGH1234567890abcdEFG==", "AccountKey=SECRET_TOKEN"},
		{"pw: hunter2", "pw: SECRET_PASSWORD"},
		{"Set-Cookie: session=abcdef; Path=/", "Set-Cookie: SECRET_COOKIE"},
		{"bearer of bad news that matter, secret santa, token economy, Basic Auth required", "bearer of bad news that matter, secret santa, token economy, Basic Auth required"},
		{"api_key: 'f3c9a1d27b8e4f60'", "api_key: 'SECRET_TOKEN'"},
		{"token: the next one", "token: the next one"},
		{"SHA1=08398B65BEEBE3432181A0D645FC555DA830DD6E,MD5=3CCAF9F54B2ED219C026E1B509E415BE", "SHA1=08398B65BEEBE3432181A0D645FC555DA830DD6E,MD5=3CCAF9F54B2ED219C026E1B509E415BE"},
	} {
		s := plain(t)
		if got := shown(s.Redact(c.in)); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestKnownValuesAreFoundEverywhere(t *testing.T) {
	known := []Known{
		{Type: alert.Account, Value: "ada.l", Properties: map[string]string{"nt_domain": "CONTOSO", "display_name": "Ada Lovelace", "sid": "S-1-5-21-1-2-3-1104"}},
		{Type: alert.Host, Value: "ws-07.hq.example.com"},
		{Type: alert.Account, Value: "Gelencsér"},
		{Type: alert.Account, Value: "jörg.weiß"},
		{Type: alert.IP, Value: "10.1.1.1"}, {Type: alert.IP, Value: "203.0.113.9"},
		{Type: alert.Account, Value: "SYSTEM"}, {Type: alert.Account, Value: "user"},
	}
	for _, c := range []struct{ in, want string }{
		{"ADA.L logged on", "<USER> logged on"},
		{"backup_ada.l.zip", "backup_<USER>.zip"},
		{"prada.land", "prada.land"},
		{`D:\profiles\Ada.L\x`, `D:\profiles\<USER>\x`},
		{"ada.l@gmail.com", "<MAIL>"},
		{"ada lovelace and LOVELACE, ADA", "<PERSON> and <PERSON>"},
		{"WS-07 is down; ws-07.hq.example.com too; ws-071 not", "<HOST> is down; <HOST>.<DOMAIN> too; ws-071 not"},
		{"dc1.hq.example.com", "<HOST>.<DOMAIN>"},
		{"mail.example.com", "<HOST>.<DOMAIN>"},
		{"contoso", "<DOMAIN>"},
		{"GELENCSÉR wrote", "<USER> wrote"},
		{"JÖRG.WEISS", "<USER>"},
		{`line\nada.l`, `line\n<USER>`},
		{"10.1.1.1 to 203.0.113.9", "<IP> to 203.0.113.9"},
		{"SYSTEM ran it as user", "SYSTEM ran it as user"},
		{`CONTOSO\user`, `<DOMAIN>\<USER>`},
		{`{"user":"user"}`, `{"user":"<USER>"}`},
		{"user", "<USER>"},
	} {
		s := plain(t, known...)
		got := s.Redact(c.in)
		if shown(got) != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.in, shown(got), c.want)
		}
		if back, unknown := s.Restore(got); back != c.in || unknown != nil {
			t.Errorf("%q came back as %q, unknown %q", c.in, back, unknown)
		}
	}
}
