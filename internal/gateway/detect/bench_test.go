package detect

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// contextOf is ordinary evidence, 32 KB of it: commands, log lines and prose.
func contextOf(size int) string {
	lines := []string{
		`C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe -NoProfile -ExecutionPolicy Bypass -File C:\it\inventory.ps1`,
		"2026-03-02T08:14:22Z srv-db02 sshd[4112]: Failed password for invalid user oracle from 192.0.2.17 port 53122 ssh2",
		`{"timestamp":"2026-03-02T08:14:22Z","rule":{"id":"5710","level":5},"agent":{"name":"web03","ip":"198.51.100.8"}}`,
		"The account svc-backup was granted the role Backup Operator by the administrator after the previous request was closed.",
		"GET /index.php?id=77&ref=home HTTP/1.1 404 512 Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
		"Registry value set: HKLM\\System\\CurrentControlSet\\Services\\update\\Start Details: DWORD (0x00000004) by FIN-LT-221\\alice",
	}
	var sb strings.Builder
	for i := 0; sb.Len() < size; i++ {
		sb.WriteString(lines[i%len(lines)])
		sb.WriteByte('\n')
	}
	return sb.String()[:size]
}

func BenchmarkField(b *testing.B) {
	d := shipped(b)
	for _, bc := range []struct {
		name, text string
	}{
		{"ordinary-32KB", contextOf(32 << 10)},
		{"ordinary-128B", contextOf(128)},
		{"cyrillic-32KB", strings.Repeat("Пользователь вошёл в систему с адреса 192.0.2.4. ", 420)[:32<<10]},
		{"base64-32KB", strings.Repeat("TmV3LU9iamVjdCBOZXQuV2ViQ2xpZW50 ", 1000)[:32<<10]},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.SetBytes(int64(len(bc.text)))
			b.ReportAllocs()
			for b.Loop() {
				d.Field(bc.text)
			}
		})
	}
}

// BenchmarkRegexp is what the same text costs with a list of expressions.
func BenchmarkRegexp(b *testing.B) {
	var list []*regexp.Regexp
	for _, p := range []string{
		`(?i)ignore\s+(all\s+)?(previous|prior|above)\s+instructions`, `(?i)disregard\s+(all\s+)?(previous|your)`, `(?i)forget\s+(everything|all)`,
		`(?i)new\s+instructions?\s*:`, `(?i)you\s+are\s+now\s+`, `(?i)act\s+as\s+(a|an|the)\s`, `(?i)pretend\s+(to\s+be|you\s+are)`, `(?i)from\s+now\s+on`,
		`(?i)\bDAN\b`, `(?i)jailbreak`, `(?i)without\s+(any\s+)?restrictions`, `(?i)(show|reveal|print)\s+(your\s+)?system\s+prompt`,
		`(?i)what\s+are\s+your\s+instructions`, `(?i)developer\s+mode`, `(?i)<\|?(system|assistant|user)\|?>`,
	} {
		list = append(list, regexp.MustCompile(p))
	}
	text := contextOf(32 << 10)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for _, r := range list {
			r.FindStringIndex(text)
		}
	}
}

// BenchmarkHostile is text made to cost much. The time for a byte must not grow with the size.
func BenchmarkHostile(b *testing.B) {
	d := shipped(b)
	for name, piece := range map[string]string{
		"zerowidth": "\u200b", "marks": "\u0301", "capitals": "aB", "quotes": `"a":`, "brackets": "[", "orders": "ignore all previous instructions ",
		"base64": "QUFBQUFBQUFBQUFBQUFBQUFB\n", "lines": strings.Repeat("QUFB", 19) + "\n", "entities": "&#65;", "escapes": `\u0041`, "percent": "%25", "hexpairs": "41 ",
		"spaced": "a b ", "overrides": "\u202ea", "ligatures": "\ufdfa", "leet": "1gn0r3 ", "links": "[a](http", "paths": strings.Repeat("a", 70) + "\n",
	} {
		for _, size := range []int{8 << 10, 64 << 10} {
			text := strings.Repeat(piece, size/len(piece))
			b.Run(name+"/"+strconv.Itoa(size>>10)+"KB", func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					d.Field(text)
				}
			})
		}
	}
}
