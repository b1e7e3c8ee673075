// Package archtest states the rules of the house as tests: which package may import which,
// with the reason beside each rule, and what every package and file owes its readers.
//
// The rules read imports from the sources, build constraints ignored, so that a file for
// another system is held to them too. Production code is held to the import rules; tests may
// import what they like.
package archtest
