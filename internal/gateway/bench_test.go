package gateway_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/gateway/detect"
	"github.com/aluskort/aluskort/internal/gateway/redact"
)

// evidenceText is 32 KB of what a question holds: commands, log lines, prose, with names and
// addresses in them.
func evidenceText() string {
	const text = "Jun 12 10:01:43 ws-07 sshd[4211]: Accepted publickey for ada from 10.20.30.40 port 50122 ssh2: session opened\n" +
		`{"host":{"name":"ws-07","ip":["10.20.30.40"]},"user":{"name":"ada","domain":"CONTOSO"},"process":{"command_line":"C:\\Windows\\System32\\cmd.exe /c whoami"}}` + "\n" +
		"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe -NoProfile -ExecutionPolicy Bypass -File C:\\it\\inventory.ps1\n" +
		"The account svc-backup was granted the role Backup Operator by the administrator after the previous request was closed.\n" +
		"GET /index.php?id=77&ref=home HTTP/1.1 404 512 Mozilla/5.0 (Windows NT 10.0; Win64; x64), mail to grace@example.com sent\n"
	return strings.Repeat(text, 1+(32<<10)/len(text))[:32<<10]
}

// expressions are what a list of fifteen regular expressions for both jobs looks like.
var expressions = []*regexp.Regexp{
	regexp.MustCompile(`(?i)ignore\s+(all\s+)?(previous|prior|above)\s+instructions`), regexp.MustCompile(`(?i)you\s+are\s+now\s+`),
	regexp.MustCompile(`(?i)new\s+instructions?\s*:`), regexp.MustCompile(`(?i)(show|reveal|print)\s+(your\s+)?system\s+prompt`),
	regexp.MustCompile(`(?i)<\|?(system|assistant|user)\|?>`), regexp.MustCompile(`(?i)without\s+(any\s+)?restrictions`),
	regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`), regexp.MustCompile(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b`),
	regexp.MustCompile(`\bS-1-5-21(?:-\d+){3,}\b`), regexp.MustCompile(`(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`),
	regexp.MustCompile(`(?i)\\Users\\([^\\]+)`), regexp.MustCompile(`\b[A-Z0-9-]{2,15}\\{1,2}[\w.$-]+`),
	regexp.MustCompile(`(?i)(?:password|passwd|pwd|secret|token)\s*[=:]\s*\S+`), regexp.MustCompile(`\beyJ[\w-]+\.[\w-]+\.[\w-]+`),
	regexp.MustCompile(`(?i)\b[\w-]+(?:\.[\w-]+)*\.(?:local|internal|corp|lan)\b`),
}

// BenchmarkScreenAndRedact32K is the budget of DESIGN section 13: detection of injections and
// redaction of 32 KB on one core, beside fifteen expressions over the same text.
func BenchmarkScreenAndRedact32K(b *testing.B) {
	sensor, err := detect.New()
	if err != nil {
		b.Fatal(err)
	}
	session := redact.New(redact.DefaultPolicy()).Session(redact.Key{1}, []redact.Known{
		{Type: alert.Account, Value: "ada", Properties: map[string]string{"nt_domain": "CONTOSO"}}, {Type: alert.Host, Value: "ws-07"},
	})
	text := evidenceText()
	measure := func(b *testing.B, fn func()) {
		times := make([]time.Duration, 0, 1<<16)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			start := time.Now()
			fn()
			if len(times) < cap(times) {
				times = append(times, time.Since(start))
			}
		}
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
	}
	b.Run("ours", func(b *testing.B) {
		measure(b, func() {
			sensor.Field(text)
			session.Redact(text)
		})
	})
	b.Run("fifteen expressions", func(b *testing.B) {
		measure(b, func() {
			for _, re := range expressions {
				re.FindAllStringIndex(text, -1)
			}
		})
	})
}
