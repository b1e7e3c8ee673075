// Package rules carries the evidence rules that ship with ALUSKORT: Sigma rules with what a
// match is worth, in files by theme, each with examples that run as tests.
package rules

import "embed"

// FS holds the rule files.
//
//go:embed README.md malicious/*.yml benign/*.yml
var FS embed.FS
