package redact

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// logText is alert text as a model gets it: with names, addresses and paths in every line.
func logText(size int) string {
	const text = "Jun 12 10:01:43 ws-07 sshd[4211]: Accepted publickey for ada from 10.20.30.40 port 50122 ssh2: session opened\n" +
		`{"host":{"name":"ws-07","ip":["10.20.30.40"]},"user":{"name":"ada","domain":"CONTOSO"},"process":{"command_line":"C:\\Windows\\System32\\cmd.exe /c whoami"}}` + "\n" +
		"Process powershell.exe version 10.0.26100.4202 wrote C:\\Users\\ada\\AppData\\Local\\Temp\\a.ps1, provider {5770385f-c22a-43e0-bf4c-06f5698ffbd9}, level information\n" +
		"request to https://cdn.example.com/assets/app.js?v=3 answered 200 in 12 ms, hash d41d8cd98f00b204e9800998ecf8427e seen, mail to grace@example.com sent\n" +
		"The account CONTOSO\\ada (S-1-5-21-1004336348-1177238915-682003330-1104) logged on to ws-07.hq.example.com, token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIz\n" +
		"the operation completed successfully and nothing else of interest was recorded for it in the log of the service\n"
	return strings.Repeat(text, size/len(text)+1)[:size]
}

func benchKnown(n int) []Known {
	known := []Known{
		{Type: alert.Account, Value: "ada", Properties: map[string]string{"nt_domain": "CONTOSO", "display_name": "Ada Lovelace"}},
		{Type: alert.Host, Value: "ws-07.hq.example.com"},
	}
	for i := len(known); i < n; i++ {
		known = append(known, Known{Type: alert.Host, Value: fmt.Sprintf("srv-eu-%05d", i)})
	}
	return known
}

const benchSize = 32 << 10

func benchRedact(b *testing.B, text string, known []Known) {
	s := New(DefaultPolicy()).Session(testKey, known)
	times := make([]time.Duration, 0, 1<<16)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		s.Redact(text)
		if len(times) < cap(times) {
			times = append(times, time.Since(start))
		}
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkRedact32K(b *testing.B) { benchRedact(b, logText(benchSize), benchKnown(20)) }

func BenchmarkRedact32KManyKnown(b *testing.B) {
	benchRedact(b, logText(benchSize), benchKnown(5000))
}

func BenchmarkRedact32KProse(b *testing.B) {
	benchRedact(b, strings.Repeat("the quick brown fox jumps over the lazy dog and nothing of interest happened here today ", 400)[:benchSize], benchKnown(20))
}

// Text that was written to cost time.
func BenchmarkRedact32KHostile(b *testing.B) {
	for _, piece := range []string{
		"password=", "token=", "cookie:", "-----BEGIN PRIVATE KEY-----", "authorization: ", "a.", "1-", "1.", "@", "a@", "\\", "\\\\a", "::", "password=\"", "srv-eu-",
		"net user ", "USER-2", "/home/", "(1", "+1", "\\t", "password:\\t", "eyJ.", "$6$", "ab:", "0123abcd-", "é", "for a ", "user=", "sk-", "GB82WEST",
	} {
		b.Run(strings.ReplaceAll(piece, "/", "|"), func(b *testing.B) {
			benchRedact(b, strings.Repeat(piece, benchSize/len(piece)), benchKnown(5000))
		})
	}
}

func BenchmarkRestore32K(b *testing.B) {
	s := New(DefaultPolicy()).Session(testKey, benchKnown(20))
	text := s.Redact(logText(benchSize))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s.Restore(text)
	}
}

// fifteen are what a list of expressions for the same classes looks like.
var fifteen = []*regexp.Regexp{
	regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`),
	regexp.MustCompile(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b`),
	regexp.MustCompile(`\bS-1-5-21(?:-\d+){3,}\b`),
	regexp.MustCompile(`(?i)\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b`),
	regexp.MustCompile(`(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`),
	regexp.MustCompile(`(?i)\\Users\\([^\\]+)`),
	regexp.MustCompile(`/home/([^/\s]+)`),
	regexp.MustCompile(`\b[A-Z0-9-]{2,15}\\{1,2}[\w.$-]+`),
	regexp.MustCompile(`\b(?:\d[ -]?){13,19}\b`),
	regexp.MustCompile(`\b\d{3}-\d{2}-\d{4}\b`),
	regexp.MustCompile(`\+\d[\d ().-]{7,}\d`),
	regexp.MustCompile(`\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b`),
	regexp.MustCompile(`(?i)(?:password|passwd|pwd|secret|token)\s*[=:]\s*\S+`),
	regexp.MustCompile(`\beyJ[\w-]+\.[\w-]+\.[\w-]+`),
	regexp.MustCompile(`(?i)\b[\w-]+(?:\.[\w-]+)*\.(?:local|internal|corp|lan)\b`),
}

func BenchmarkFifteenExpressions32K(b *testing.B) {
	text := logText(benchSize)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for _, re := range fifteen {
			re.FindAllStringIndex(text, -1)
		}
	}
}
