package sigma

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"unicode/utf16"
)

type specRow struct {
	detection, event string
	want             bool
}

// specTable follows the sections of the specification and of its appendix on modifiers.
var specTable = map[string][]specRow{
	"plain values": {
		{`sel: {Image: 'C:\Windows\cmd.exe'}`, `{"Image":"C:\\Windows\\cmd.exe"}`, true},
		{`sel: {Image: 'C:\Windows\cmd.exe'}`, `{"Image":"c:\\WINDOWS\\CMD.EXE"}`, true},
		{`sel: {Image: 'C:\Windows\cmd.exe'}`, `{"Image":"C:\\Windows\\cmd.exe "}`, false},
		{`sel: {Image: 'cmd.exe'}`, `{"Image":"C:\\Windows\\cmd.exe"}`, false},
		{`sel: {Image: 'cmd.exe'}`, `{"Other":"cmd.exe"}`, false},
		{`sel: {image: 'cmd.exe'}`, `{"Image":"cmd.exe"}`, false},
		{`sel: {User: 'MÜLLER'}`, `{"User":"müller"}`, true},
		{`sel: {User: 'ÅSA'}`, `{"User":"asa"}`, false},
		{`sel: {User: 'кирилл'}`, `{"User":"КИРИЛЛ"}`, true},
		{`sel: {a.b: x}`, `{"a":{"b":"x"}}`, true},
		{`sel: {a.b: x}`, `{"a.b":"x"}`, true},
		{`sel: {a.b: x}`, `{"a":[{"b":"y"},{"b":"x"}]}`, true},
		{`sel: {Tags: two}`, `{"Tags":["one","two"]}`, true},
		{`sel: {Tags: three}`, `{"Tags":["one","two"]}`, false},
	},
	"numbers and booleans": {
		{`sel: {EventID: 4624}`, `{"EventID":4624}`, true},
		{`sel: {EventID: 4624}`, `{"EventID":"4624"}`, true},
		{`sel: {EventID: '4624'}`, `{"EventID":4624}`, true},
		{`sel: {EventID: 4624}`, `{"EventID":46240}`, false},
		{`sel: {EventID: [517, 1102]}`, `{"EventID":1102}`, true},
		{`sel: {EventID: [517, 1102]}`, `{"EventID":1103}`, false},
		{`sel: {Options: 0x40810000}`, `{"Options":"0x40810000"}`, true},
		{`sel: {Options: 0x17}`, `{"Options":23}`, true},
		{`sel: {Options: '0x17'}`, `{"Options":23}`, false},
		{`sel: {Score: 1.5}`, `{"Score":1.5}`, true},
		{`sel: {Signed: true}`, `{"Signed":true}`, true},
		{`sel: {Signed: true}`, `{"Signed":"True"}`, true},
		{`sel: {Signed: 'false'}`, `{"Signed":false}`, true},
		{`sel: {Signed: true}`, `{"Signed":"false"}`, false},
		{`sel: {Port: -1}`, `{"Port":-1}`, true},
	},
	"wildcards": {
		{`sel: {F: 'prog?.exe'}`, `{"F":"progA.exe"}`, true},
		{`sel: {F: 'prog?.exe'}`, `{"F":"prog.exe"}`, false},
		{`sel: {F: 'prog?.exe'}`, `{"F":"progAB.exe"}`, false},
		{`sel: {F: 'prog?.exe'}`, `{"F":"progé.exe"}`, true},
		{`sel: {F: '??'}`, `{"F":"é€"}`, true},
		{`sel: {F: '??'}`, `{"F":"é"}`, false},
		{`sel: {F: 'av_V*.exe'}`, `{"F":"av_V21.2.1.exe"}`, true},
		{`sel: {F: 'av_V*.exe'}`, `{"F":"av_V.exe"}`, true},
		{`sel: {F: 'av_V*.exe'}`, `{"F":"av_V1.exe.bak"}`, false},
		{`sel: {F: '*.exe'}`, `{"F":"a.exe"}`, true},
		{`sel: {F: '*.exe'}`, `{"F":"a.exe1"}`, false},
		{`sel: {F: 'adm*'}`, `{"F":"administrator"}`, true},
		{`sel: {F: 'adm*'}`, `{"F":"sysadm"}`, false},
		{`sel: {F: '*middle*'}`, `{"F":"in the MIDDLE of"}`, true},
		{`sel: {F: '*'}`, `{"F":"anything"}`, true},
		{`sel: {F: '*'}`, `{"G":"anything"}`, false},
		{`sel: {F: '*'}`, `{"F":null}`, false},
		{`sel: {F: '?*'}`, `{"F":""}`, false},
		{`sel: {F: '?*'}`, `{"F":"x"}`, true},
		{`sel: {F: '**a**b**'}`, `{"F":"xxaxxbxx"}`, true},
		{`sel: {F: '*a*b*c*'}`, `{"F":"a c b"}`, false},
		{`sel: {F: 'ab*ab'}`, `{"F":"ab"}`, false},
		{`sel: {F: 'ab*ab'}`, `{"F":"abab"}`, true},
		{`sel: {F: 'ab*ba'}`, `{"F":"aba"}`, false},
		{`sel: {F: '*a?c'}`, `{"F":"aacabc"}`, true},
		{`sel: {F: '*a?c'}`, `{"F":"abcd"}`, false},
		{`sel: {F: 'a*b?d*f'}`, `{"F":"a__bxbcd__f"}`, true},
		{`sel: {F: '*a?*'}`, `{"F":"ba"}`, false},
		{`sel: {F|contains: 'a*c'}`, `{"F":"xxabcxx"}`, true},
		{`sel: {F|contains: '?'}`, `{"F":""}`, false},
		{`sel: {F|startswith: 'a?c'}`, `{"F":"abcd"}`, true},
		{`sel: {F|endswith: 'a?c'}`, `{"F":"xabc"}`, true},
		{`sel: {F|endswith: 'a?c'}`, `{"F":"xabcd"}`, false},
	},
	"escaping": {
		{`sel: {F: 'a\b'}`, `{"F":"a\\b"}`, true},      // one backslash, plain
		{`sel: {F: 'a\\b'}`, `{"F":"a\\b"}`, true},     // two read as one
		{`sel: {F: 'a\*b'}`, `{"F":"a*b"}`, true},      // escaped star
		{`sel: {F: 'a\*b'}`, `{"F":"axb"}`, false},     //
		{`sel: {F: 'a\?b'}`, `{"F":"a?b"}`, true},      // escaped question mark
		{`sel: {F: 'a\?b'}`, `{"F":"axb"}`, false},     //
		{`sel: {F: 'a\\*'}`, `{"F":"a\\xyz"}`, true},   // backslash, then wildcard
		{`sel: {F: 'a\\*'}`, `{"F":"a*"}`, false},      //
		{`sel: {F: 'a\\?'}`, `{"F":"a\\x"}`, true},     //
		{`sel: {F: 'a\\\*'}`, `{"F":"a\\*"}`, true},    // backslash and star, both plain
		{`sel: {F: 'a\\\*'}`, `{"F":"a\\x"}`, false},   //
		{`sel: {F: 'a\\\\b'}`, `{"F":"a\\\\b"}`, true}, // four read as two
		{`sel: {F: 'a\\\b'}`, `{"F":"a\\\\b"}`, true},  // three read as two
		{`sel: {F: 'a\\\\b'}`, `{"F":"a\\b"}`, false},  //
		{`sel: {F: '\\\\srv\share'}`, `{"F":"\\\\srv\\share"}`, true},
		{`sel: {F: 'C:\'}`, `{"F":"C:\\"}`, true}, // at the end
		{`sel: {F: 'C:\\'}`, `{"F":"C:\\"}`, true},
		{`sel: {F|endswith: '\cmd.exe'}`, `{"F":"C:\\cmd.exe"}`, true},
		{`sel: {F|endswith: '\cmd.exe'}`, `{"F":"C:\\xcmd.exe"}`, false},
		{`sel: {F|contains: '\*'}`, `{"F":"SELECT * FROM"}`, true},
		{`sel: {F|contains: '\*'}`, `{"F":"SELECT a FROM"}`, false},
		{`sel: {F: "tab\there"}`, `{"F":"tab\there"}`, true}, // YAML's own escapes
	},
	"contains, startswith, endswith": {
		{`sel: {C|contains: ' /C '}`, `{"C":"cmd.exe /c dir"}`, true},
		{`sel: {C|contains: ' /C '}`, `{"C":"cmd.exe /cdir"}`, false},
		{`sel: {C|contains: ''}`, `{"C":""}`, true},
		{`sel: {C|startswith: 'cmd'}`, `{"C":"CMD.exe"}`, true},
		{`sel: {C|startswith: 'cmd'}`, `{"C":"xcmd"}`, false},
		{`sel: {C|endswith: '.ps1'}`, `{"C":"a.PS1"}`, true},
		{`sel: {C|endswith: '.ps1'}`, `{"C":"a.ps1 -x"}`, false},
		{`sel: {C|contains: [one, two]}`, `{"C":"only two here"}`, true},
		{`sel: {C|contains: [one, two]}`, `{"C":"three"}`, false},
		{`sel: {C|contains: 46}`, `{"C":4624}`, true},
		{`sel: {C|contains: é}`, `{"C":"CAFÉ"}`, true},
	},
	"all": {
		{`sel: {C|contains|all: [one, two]}`, `{"C":"two one"}`, true},
		{`sel: {C|contains|all: [one, two]}`, `{"C":"one"}`, false},
		{`sel: {C|all|contains: [one, two]}`, `{"C":"one two"}`, true},
		{`sel: {C|all: ['*one*', 'x*']}`, `{"C":"x one"}`, true},
		{`sel: {C|contains|all: [one, two]}`, `{"C":["one","two"]}`, true},
		{`sel: {C|re|all: ['^a', 'b$']}`, `{"C":"a-b"}`, true},
		{`sel: {C|re|all: ['^a', 'b$']}`, `{"C":"a-c"}`, false},
		{`sel: {C|contains|all: [one]}`, `{"C":"one"}`, true},
	},
	"cased": {
		{`sel: {C|cased: AbC}`, `{"C":"AbC"}`, true},
		{`sel: {C|cased: AbC}`, `{"C":"abc"}`, false},
		{`sel: {C|contains|cased: AbC}`, `{"C":"xAbCx"}`, true},
		{`sel: {C|cased|contains: AbC}`, `{"C":"xABCx"}`, false},
		{`sel: {C|startswith|cased: 'A*C'}`, `{"C":"AbbC!"}`, true},
		{`sel: {C|startswith|cased: 'A*C'}`, `{"C":"Abbc!"}`, false},
	},
	"exists": {
		{`sel: {F|exists: true}`, `{"F":"x"}`, true},
		{`sel: {F|exists: true}`, `{"F":""}`, true},
		{`sel: {F|exists: true}`, `{"F":null}`, true},
		{`sel: {F|exists: true}`, `{"G":1}`, false},
		{`sel: {F|exists: false}`, `{"G":1}`, true},
		{`sel: {F|exists: false}`, `{"F":null}`, false},
		{`sel: {F|exists: true}`, `{"F":{"a":1}}`, true},
		{`sel: {F|exists: false}`, `{"F":{"a":1}}`, false},
		{`sel: {F|exists: yes}`, `{"F":1}`, true},
	},
	"null and empty": {
		{`sel: {F: null}`, `{"G":1}`, true},
		{`sel: {F: null}`, `{"F":null}`, true},
		{`sel: {F: null}`, `{"F":"x"}`, false},
		{`sel: {F: null}`, `{"F":""}`, false},
		{`sel: {F: null}`, `{"F":[]}`, true},
		{`sel: {F: null}`, `{"F":{"a":1}}`, false},
		{`sel: {F: }`, `{"G":1}`, true},
		{`sel: {F: ''}`, `{"F":""}`, true},
		{`sel: {F: ''}`, `{"F":"x"}`, false},
		{`sel: {F: ''}`, `{"G":"x"}`, false},
		{`sel: {F: ''}`, `{"F":null}`, false},
		{`sel: {F: [null, '', '-']}`, `{"F":"-"}`, true},
		{`sel: {F: [null, '', '-']}`, `{"G":"-"}`, true},
		{`sel: {F: [null, '', '-']}`, `{"F":"x"}`, false},
		{"sel: {G: 1}\nf: {F: null}\ncondition: sel and not f", `{"G":1,"F":"x"}`, true},
		{"sel: {G: 1}\nf: {F: null}\ncondition: sel and not f", `{"G":1}`, false},
	},
	"neq": {
		{`sel: {F|neq: x}`, `{"F":"y"}`, true},
		{`sel: {F|neq: x}`, `{"F":"X"}`, false},
		{`sel: {F|neq: x}`, `{"G":"y"}`, false},
		{`sel: {F|neq: [x, y]}`, `{"F":"z"}`, true},
		{`sel: {F|neq: [x, y]}`, `{"F":"y"}`, false},
		{`sel: {F|neq: 5}`, `{"F":6}`, true},
		{`sel: {F|contains|neq: x}`, `{"F":"axb"}`, false},
		{`sel: {F|contains|neq: x}`, `{"F":"ab"}`, true},
		{`sel: {F|fieldref|neq: G}`, `{"F":"a","G":"b"}`, true},
		{`sel: {F|fieldref|neq: G}`, `{"F":"a","G":"A"}`, false},
		{`sel: {F|neq: null}`, `{"F":"a"}`, true},
		{`sel: {F|neq: null}`, `{"G":"a"}`, false},
	},
	"windash": {
		{`sel: {C|windash|contains: ' -f '}`, `{"C":"x -f y"}`, true},
		{`sel: {C|windash|contains: ' -f '}`, `{"C":"x /f y"}`, true},
		{`sel: {C|windash|contains: ' -f '}`, `{"C":"x –f y"}`, true},
		{`sel: {C|windash|contains: ' -f '}`, `{"C":"x —F y"}`, true},
		{`sel: {C|windash|contains: ' -f '}`, `{"C":"x ―f y"}`, true},
		{`sel: {C|windash|contains: ' /f '}`, `{"C":"x -f y"}`, true},
		{`sel: {C|contains|windash: ' -f '}`, `{"C":"x /f y"}`, true},
		{`sel: {C|windash|contains: ' -f '}`, `{"C":"x f y"}`, false},
		{`sel: {C|contains|all|windash: [' -a ', ' -b ']}`, `{"C":"x /a –b y"}`, true},
		{`sel: {C|windash|endswith: ' -a -b'}`, `{"C":"x /a —b"}`, true},
		{`sel: {C|windash|endswith: ' -a -b'}`, `{"C":"x /a —b "}`, false},
		{`sel: {C|windash|startswith: '-a'}`, `{"C":"―a"}`, true},
		{`sel: {C|windash|contains: '-'}`, `{"C":"a/b"}`, true},
	},
	"re": {
		{`sel: {C|re: 'a.c'}`, `{"C":"xxabcxx"}`, true},
		{`sel: {C|re: '^a.c$'}`, `{"C":"xabc"}`, false},
		{`sel: {C|re: 'A.C'}`, `{"C":"abc"}`, false},
		{`sel: {C|re|i: 'A.C'}`, `{"C":"abc"}`, true},
		{`sel: {C|re: '(?i)A.C'}`, `{"C":"abc"}`, true},
		{`sel: {C|re: 'a.c'}`, `{"C":"a\nc"}`, false},
		{`sel: {C|re|s: 'a.c'}`, `{"C":"a\nc"}`, true},
		{`sel: {C|re: '^two$'}`, `{"C":"one\ntwo"}`, false},
		{`sel: {C|re|m: '^two$'}`, `{"C":"one\ntwo"}`, true},
		{`sel: {C|re|i|m: '^TWO$'}`, `{"C":"one\ntwo"}`, true},
		{`sel: {C|re: 'https?://[a-z]+\.example\.(com|net)'}`, `{"C":"get http://www.example.net/"}`, true},
		{`sel: {C|re: 'https?://[a-z]+\.example\.(com|net)'}`, `{"C":"get http://wwwXexample.net/"}`, false},
		{`sel: {C|re: '\d{3,5}'}`, `{"C":"ab1234"}`, true},
		{`sel: {C|re: ['^x', 'kk+']}`, `{"C":"akkk"}`, true},
		{`sel: {C|re|i: 'skulk'}`, `{"C":"ſKULk"}`, true},
	},
	"base64 and utf16": {
		{`sel: {C|base64: foo}`, `{"C":"Zm9v"}`, true},
		{`sel: {C|base64|contains: foobar}`, `{"C":"x Zm9vYmFy y"}`, true},
		{`sel: {C|base64|contains: foobar}`, `{"C":"foobar"}`, false},
		{`sel: {C|base64offset|contains: 'http://'}`, `{"C":"` + b64("http://x") + `"}`, true},
		{`sel: {C|base64offset|contains: 'http://'}`, `{"C":"` + b64("ahttp://x") + `"}`, true},
		{`sel: {C|base64offset|contains: 'http://'}`, `{"C":"` + b64("abhttp://x") + `"}`, true},
		{`sel: {C|base64offset|contains: 'http://'}`, `{"C":"` + b64("abchttp://x") + `"}`, true},
		{`sel: {C|base64offset|contains: 'http://'}`, `{"C":"` + b64("ftp://abcdef") + `"}`, false},
		{`sel: {C|wide|base64offset|contains: 'IEX'}`, `{"C":"` + b64(wide("(IEX x)")) + `"}`, true},
		{`sel: {C|utf16le|base64offset|contains: 'IEX'}`, `{"C":"` + b64(wide("a IEX x")) + `"}`, true},
		{`sel: {C|utf16le|base64offset|contains: 'IEX'}`, `{"C":"` + b64("a IEX x") + `"}`, false},
		{`sel: {C|utf16be|base64|contains: 'cmd'}`, `{"C":"AGMAbQBk"}`, true},
		{`sel: {C|utf16|base64|contains: 'cmd'}`, `{"C":"//5jAG0AZAA="}`, true},
		{`sel: {C|wide|contains: 'cmd'}`, `{"C":"c\u0000m\u0000d\u0000"}`, true},
		{`sel: {C|base64|contains: 'a\*b'}`, `{"C":"` + b64("a*b") + `"}`, true},
	},
	"numeric comparison": {
		{`sel: {N|lt: 10}`, `{"N":9}`, true},
		{`sel: {N|lt: 10}`, `{"N":10}`, false},
		{`sel: {N|lte: 10}`, `{"N":"10"}`, true},
		{`sel: {N|gt: 10}`, `{"N":10.5}`, true},
		{`sel: {N|gt: 10}`, `{"N":"abc"}`, false},
		{`sel: {N|gte: 10}`, `{"N":10}`, true},
		{`sel: {N|gte: 10}`, `{"M":10}`, false},
		{`sel: {N|gt: -5}`, `{"N":-4}`, true},
		{`sel: {N|gte: 16}`, `{"N":"0x10"}`, true},
		{`sel: {N|gt: 9}`, `{"N":"100"}`, true},
	},
	"time parts": {
		{`sel: {T|minute: 30}`, `{"T":"2026-03-01T22:30:59Z"}`, true},
		{`sel: {T|hour: 22}`, `{"T":"2026-03-01T22:30:59+02:00"}`, true},
		{`sel: {T|hour: [0, 1, 22]}`, `{"T":"2026-03-01 22:30:59"}`, true},
		{`sel: {T|hour: 21}`, `{"T":"2026-03-01T22:30:59Z"}`, false},
		{`sel: {T|hour|gte: 20}`, `{"T":"2026-03-01T22:30:59Z"}`, true},
		{`sel: {T|hour|lt: 6}`, `{"T":"2026-03-01T22:30:59Z"}`, false},
		{`sel: {T|day: 1}`, `{"T":"2026-03-01"}`, true},
		{`sel: {T|week: 9}`, `{"T":"2026-03-01T00:00:00Z"}`, true},
		{`sel: {T|month: 3}`, `{"T":"2026/03/01 10:00:00"}`, true},
		{`sel: {T|year: 2026}`, `{"T":1772359200}`, true},
		{`sel: {T|year: 2026}`, `{"T":1772359200123}`, true},
		{`sel: {T|year: 2026}`, `{"T":"yesterday"}`, false},
	},
	"cidr": {
		{`sel: {IP|cidr: 192.0.2.0/24}`, `{"IP":"192.0.2.77"}`, true},
		{`sel: {IP|cidr: 192.0.2.0/24}`, `{"IP":"198.51.100.1"}`, false},
		{`sel: {IP|cidr: [203.0.113.0/25, 192.0.2.0/24]}`, `{"IP":"192.0.2.1"}`, true},
		{`sel: {IP|cidr: 2001:db8::/32}`, `{"IP":"2001:DB8:1::1"}`, true},
		{`sel: {IP|cidr: 2001:db8::/32}`, `{"IP":"2001:db9::1"}`, false},
		{`sel: {IP|cidr: 192.0.2.0/24}`, `{"IP":"::ffff:192.0.2.5"}`, true},
		{`sel: {IP|cidr: fe80::/10}`, `{"IP":"fe80::1%eth0"}`, true},
		{`sel: {IP|cidr: 192.0.2.0/24}`, `{"IP":"not an address"}`, false},
		{`sel: {IP|cidr: 192.0.2.9/24}`, `{"IP":"192.0.2.1"}`, true},
		{`sel: {IP|cidr: 192.0.2.9}`, `{"IP":"192.0.2.9"}`, true},
		{"sel: {A: 1}\nf: {IP|cidr: 10.0.0.0/8}\ncondition: sel and not f", `{"A":1,"IP":"10.1.1.1"}`, false},
	},
	"fieldref": {
		{`sel: {A|fieldref: B}`, `{"A":"x","B":"X"}`, true},
		{`sel: {A|fieldref: B}`, `{"A":"x","B":"y"}`, false},
		{`sel: {A|fieldref: B}`, `{"A":"x"}`, false},
		{`sel: {A|fieldref|startswith: B}`, `{"A":"xyz","B":"xy"}`, true},
		{`sel: {A|fieldref|endswith: B}`, `{"A":"xyz","B":"yz"}`, true},
		{`sel: {A|fieldref|contains: B}`, `{"A":"wxyz","B":"xy"}`, true},
		{`sel: {A|fieldref|contains: B}`, `{"A":"wxyz","B":"q"}`, false},
		{`sel: {A|fieldref: [B, C]}`, `{"A":"x","B":"1","C":"x"}`, true},
		{`sel: {A|fieldref|cased: B}`, `{"A":"x","B":"X"}`, false},
		{`sel: {A|fieldref|contains: B}`, `{"A":"wxyz","B":""}`, false},
	},
	"lists and maps": {
		{"sel:\n  A: 1\n  B: 2", `{"A":1,"B":2}`, true},
		{"sel:\n  A: 1\n  B: 2", `{"A":1,"B":3}`, false},
		{"sel:\n  - A: 1\n  - B: 2", `{"A":0,"B":2}`, true},
		{"sel:\n  - A: 1\n  - B: 2", `{"A":0,"B":0}`, false},
		{"sel:\n  - A: 1\n    B: 1\n  - B: 2", `{"A":1,"B":2}`, true},
		{"sel:\n  - A: 1\n    B: 1\n  - C: 2", `{"A":1,"B":2}`, false},
		{"sel:\n  - A: 1\n  - word", `{"X":"some word"}`, true},
	},
	"keywords": {
		{"sel: [EVILSERVICE, 'svchost.exe -n evil']", `{"m":"started evilservice now"}`, true},
		{"sel: [EVILSERVICE, 'svchost.exe -n evil']", `{"m":{"x":["a","run svchost.exe -n evil"]}}`, true},
		{"sel: [EVILSERVICE]", `{"m":"evil service"}`, false},
		{"sel: [EVILSERVICE]", `{"EVILSERVICE":"x"}`, false},
		{"sel: evilservice", `{"m":"EvilService"}`, true},
		{"sel: [404]", `{"status":404}`, true},
		{"sel: ['a*c']", `{"m":"xxabcxx"}`, true},
		{"sel:\n  '|all': [one, two]", `{"a":"one","b":"two"}`, true},
		{"sel:\n  '|all': [one, two]", `{"a":"one","b":"three"}`, false},
		{"sel:\n  '|re': 'o[nm]e'", `{"a":"xomex"}`, true},
		{"sel:\n  '|cased': ONE", `{"a":"one"}`, false},
		{"sel: ['\\*']", `{"m":"a*b"}`, true},
		{"kw: [bad]\nsel: {A: 1}\ncondition: sel and not kw", `{"A":1,"m":"bad"}`, false},
	},
	"conditions": {
		{"a: {A: 1}\nb: {B: 1}\ncondition: a and b", `{"A":1,"B":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\ncondition: a and b", `{"A":1}`, false},
		{"a: {A: 1}\nb: {B: 1}\ncondition: a or b", `{"B":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\ncondition: a AND NOT b", `{"A":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\ncondition: not a", `{"B":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\ncondition: not not a", `{"A":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: a or b and c", `{"A":1}`, true}, // and binds more
		{"a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: (a or b) and c", `{"A":1}`, false},
		{"a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: not a and b", `{"B":1}`, true}, // not binds more
		{"a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: not (a and b)", `{"A":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: not a or b", `{"A":1,"B":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\nc: {C: 1}\ncondition: ((a)and(b))or(c)", `{"C":1}`, true},
		{"a1: {A: 1}\na2: {B: 1}\nc: {C: 1}\ncondition: 1 of a*", `{"B":1}`, true},
		{"a1: {A: 1}\na2: {B: 1}\nc: {C: 1}\ncondition: 1 of a*", `{"C":1}`, false},
		{"a1: {A: 1}\na2: {B: 1}\nc: {C: 1}\ncondition: all of a*", `{"A":1,"B":1}`, true},
		{"a1: {A: 1}\na2: {B: 1}\nc: {C: 1}\ncondition: all of a*", `{"A":1}`, false},
		{"a1: {A: 1}\na2: {B: 1}\nc: {C: 1}\ncondition: any of a*", `{"A":1}`, true},
		{"a1: {A: 1}\na2: {B: 1}\na3: {C: 1}\ncondition: 2 of a*", `{"A":1,"C":1}`, true},
		{"a1: {A: 1}\na2: {B: 1}\na3: {C: 1}\ncondition: 2 of a*", `{"C":1}`, false},
		{"a1: {A: 1}\n_a2: {B: 1}\ncondition: 1 of them", `{"B":1}`, false},
		{"a1: {A: 1}\n_a2: {B: 1}\ncondition: all of them", `{"A":1}`, true},
		{"a1: {A: 1}\n_a2: {B: 1}\ncondition: a1 and _a2", `{"A":1,"B":1}`, true},
		{"a1: {A: 1}\n_a2: {B: 1}\ncondition: 1 of _*", `{"B":1}`, true},
		{"s_x_1: {A: 1}\ns_y_1: {B: 1}\ncondition: 1 of s_*_1", `{"B":1}`, true},
		{"s_x_1: {A: 1}\ns_y_2: {B: 1}\ncondition: 1 of *_1", `{"B":1}`, false},
		{"sel: {A: 1}\nf1: {B: 1}\nf2: {C: 1}\ncondition: sel and not 1 of f*", `{"A":1,"C":1}`, false},
		{"sel: {A: 1}\nf1: {B: 1}\nf2: {C: 1}\ncondition: sel and not 1 of f*", `{"A":1}`, true},
		{"sel: {A: 1}\nf1: {B: 1}\nf2: {C: 1}\ncondition: sel and not all of f*", `{"A":1,"C":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\ncondition: [a, b]", `{"B":1}`, true},
		{"a: {A: 1}\nb: {B: 1}\ncondition: [a, b]", `{"C":1}`, false},
		{"sel: {A: 1}\ncondition: 1 of sel", `{"A":1}`, true},
	},
	"text forms": {
		{`sel: {F|endswith: '\Windows\cmd.exe'}`, `{"F":"C:\\\\Windows\\\\cmd.exe"}`, true},
		{`sel: {F: 'C:\Windows\cmd.exe'}`, `{"F":"C:\\\\Windows\\\\cmd.exe"}`, true},
		{`sel: {F|contains: '"C:\x.exe" /c'}`, `{"F":"&quot;C:\\x.exe&quot; /c"}`, true},
		{`sel: {F|contains: 'a & b'}`, `{"F":"a &amp; b"}`, true},
		{`sel: {F|contains: '<x>'}`, `{"F":"&lt;x&#62;"}`, true},
		{`sel: {F|contains: "it's"}`, `{"F":"it&#x27;s"}`, true},
		{`sel: {F|contains: '&amp;'}`, `{"F":"a &amp; b"}`, true},
		{`sel: {F|contains: 'a & b'}`, `{"F":"a &bogus; b"}`, false},
		{`sel: {F|contains: 'cmd /c'}`, `{"F":"c^m^d /c whoami"}`, true},
		{`sel: {F|contains: 'powershell -w'}`, `{"F":"\"po\"w\"ershell\" -w hidden"}`, true},
		{`sel: {F|contains: 'invoke-expression'}`, `{"F":"Inv` + "`" + `oke-Exp` + "`" + `ression"}`, true},
		{`sel: {F|contains: 'downloadstring'}`, `{"F":"('Down'+'load' + \"String\")"}`, true},
		{`sel: {F|contains: 'cmd'}`, `{"F":"%COMSPEC:~-7,1%md"}`, true},
		{`sel: {F|contains: 'powershell'}`, `{"F":"%PUBLIC:~9,1%owershell"}`, true},
		{`sel: {F|contains: 'c:\win'}`, `{"F":"%SystemRoot:~0,6%"}`, true},
		{`sel: {F|contains: 'iex'}`, `{"F":"&($env:ComSpec[4,24,25]-join'') x"}`, true},
		{`sel: {F|contains: '"po"w"ershell"'}`, `{"F":"\"po\"w\"ershell\" -w"}`, true}, // the plain form too
		{`sel: {F|contains: 'caret^'}`, `{"F":"a caret^ here"}`, true},
	},
	"encoded commands": {
		{`sel: {CommandLine|contains: 'downloadstring'}`, `{"CommandLine":"powershell -enc ` + b64(wide("(New-Object Net.WebClient).DownloadString('x')")) + `"}`, true},
		{`sel: {CommandLine|contains: 'downloadstring'}`, `{"CommandLine":"powershell /E ` + b64(wide("(New-Object Net.WebClient).DownloadString('x')")) + `"}`, true},
		{`sel: {CommandLine|contains: 'downloadstring'}`, `{"CommandLine":"powershell –ec \"` + b64(wide("(New-Object Net.WebClient).DownloadString('x')")) + `\""}`, true},
		{`sel: {CommandLine|contains: 'downloadstring'}`, `{"CommandLine":"powershell -EncodedCommand:` + b64(wide("(New-Object Net.WebClient).DownloadString('x')")) + `"}`, true},
		{`sel: {DecodedCommand|contains: 'downloadstring'}`, `{"CommandLine":"powershell -e^nc ` + b64(wide("(New-Object Net.WebClient).DownloadString('x')")) + `"}`, true},
		{`sel: {DecodedCommand|contains: 'whoami'}`, `{"ScriptBlockText":"[Convert]::FromBase64String('` + b64("cmd /c whoami /all") + `')"}`, true},
		{`sel: {DecodedCommand|startswith: 'cmd'}`, `{"ScriptBlockText":"[Convert]::FromBase64String('` + b64("cmd /c whoami /all") + `')"}`, true},
		{`sel: {CommandLine|startswith: 'iex'}`, `{"CommandLine":"powershell -enc ` + b64(wide("iex something long")) + `"}`, false},
		{`sel: {CommandLine|re: 'iex\s+some'}`, `{"CommandLine":"powershell -enc ` + b64(wide("iex something long")) + `"}`, true},
		{`sel: ['something long']`, `{"CommandLine":"powershell -enc ` + b64(wide("iex something long")) + `"}`, true},
		{`sel: {CommandLine|contains: 'invoke-thing'}`, `{"CommandLine":"powershell -enc ` + b64(wide("Inv`oke-Thing now")) + `"}`, true},
		{`sel: {DecodedCommand|contains: 'x'}`, `{"CommandLine":"grep -e AAAAAAAAAAAAAAAAAAAAAAAA file"}`, false},
		{`sel: {DecodedCommand|contains: 'secret'}`, `{"CommandLine":"powershell -enc ` + b64(wide("powershell -enc "+b64(wide("echo secret word")))) + `"}`, false}, // one layer only
		{`sel: {DecodedCommand|exists: true}`, `{"CommandLine":"powershell -executionpolicy bypass -file c.ps1"}`, false},
	},
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func wide(s string) string {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

func TestSpecification(t *testing.T) {
	rows := 0
	for section, table := range specTable {
		for i, row := range table {
			rows++
			t.Run(fmt.Sprintf("%s/%d", section, i), func(t *testing.T) {
				if !json.Valid([]byte(row.event)) {
					t.Fatalf("event is not JSON: %s", row.event)
				}
				if got := matches(t, row.detection, row.event, Options{}); got != row.want {
					t.Errorf("got %t, want %t\n%s\n%s", got, row.want, row.detection, row.event)
				}
			})
		}
	}
	if rows < 150 {
		t.Errorf("the table has %d rows", rows)
	}
}

func TestExpand(t *testing.T) {
	o := Options{Placeholders: map[string][]string{
		"Administrators": {"adm_*", "root"}, "Suffix": {"1", "2"},
	}}
	for _, row := range []specRow{
		{`sel: {U|expand: '%Administrators%'}`, `{"U":"adm_jo"}`, true},
		{`sel: {U|expand: '%Administrators%'}`, `{"U":"root"}`, true},
		{`sel: {U|expand: '%Administrators%'}`, `{"U":"jo"}`, false},
		{`sel: {U|expand: 'srv%Suffix%'}`, `{"U":"srv2"}`, true},
		{`sel: {U|expand|contains: '-%Suffix%-'}`, `{"U":"a-1-b"}`, true},
		{`sel: {U|expand: '\%plain%Suffix%'}`, `{"U":"%plain2"}`, true},
		{`sel: {U: '%Suffix%'}`, `{"U":"%suffix%"}`, true},
		{`sel: {U|expand: '100%'}`, `{"U":"100%"}`, true},
	} {
		if got := matches(t, row.detection, row.event, o); got != row.want {
			t.Errorf("%s on %s: got %t", row.detection, row.event, got)
		}
	}
	s := Compile(mustLoad(t, ruleText(`sel: {U|expand: '%Servers%'}`)), o)
	if p := s.Problems(); len(p) != 1 || len(s.Rules()) != 0 {
		t.Errorf("a placeholder without values: %v", p)
	}
}
