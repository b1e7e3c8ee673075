package question

import (
	"strings"
	"time"
)

// rows is how many rows a query returns at most.
const rows = 100

// dataset is a kind of record that a source keeps.
type dataset int

const (
	processes    dataset = iota
	network              // connections to public addresses
	lookups              // names resolved or contacted
	cloudSignIns         // successful sign-ins to the cloud
	logons               // successful logons to hosts
	files                // changes of files
	alerts               // what detections raised
	mails                // messages delivered
	clicks               // addresses of the web opened
	changes              // changes of accounts and groups in a directory on site
	roles                // the same in the cloud's directory
	cloudCalls           // calls with a cloud access key
	sessions             // use of a session or token
)

// field is what a column holds.
type field int

const (
	fHost field = iota
	fAccount
	fTarget
	fSource
	fDestination
	fDomain
	fProcess
	fParent
	fCommand
	fHash
	fFile
	fURL
	fMessage
	fRecipient
	fTitle
	fSeverity
	fAction
	fKey
	fToken
)

// condition compares a field with values: any of them, or none when negated. Texts compare
// without case; a host also by its full name.
type condition struct {
	field  field
	values []string
	not    bool
}

// search is a query in no language yet.
type search struct {
	data     dataset
	where    []condition
	from, to time.Time
	// by counts the rows per value of a field, with first and last; none lists the rows.
	by []field
	// show are the columns of the rows.
	show []field
	// ref is the place of the value in the native record; where a language knows no column for
	// the field of the first condition, its path is one.
	ref string
}

// shape says how a column holds its values.
type shape int

const (
	text    shape = iota
	path          // a full path, of which the last part is compared
	within        // a longer text that contains the value
	address       // of the type of addresses, where the language has one
)

type column struct {
	name  string
	shape shape
}

// table is where a language finds a dataset.
type table struct {
	from    string
	filters []string // in the language itself
	columns map[field][]column
}

func cols(names ...string) []column {
	out := make([]column, len(names))
	for i, n := range names {
		out[i].name = n
	}
	return out
}

func shaped(s shape, names ...string) []column {
	out := cols(names...)
	for i := range out {
		out[i].shape = s
	}
	return out
}

// columns returns the columns of a field; for the value of the record's own place, its path.
func (s *search) columns(t *table, f field) []column {
	if c := t.columns[f]; len(c) > 0 {
		return c
	}
	if (f == fKey || f == fToken) && s.ref != "" {
		if p := native(s.ref); p != "" {
			return cols(p)
		}
	}
	return nil
}

// native turns the JSON pointer of a value into the name of its field. Only names made of plain
// characters are taken, since names are not quoted.
func native(ref string) string {
	p := strings.TrimPrefix(strings.TrimPrefix(ref, "/"), "_source/")
	p = strings.ReplaceAll(p, "/", ".")
	if p == "" || p[0] < 'A' || len(p) > 128 {
		return ""
	}
	for i := 0; i < len(p); i++ {
		c := p[i]
		if !(c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return ""
		}
	}
	return p
}

// complete reports whether the table has a column for every condition and for what is counted.
func (s *search) complete(t *table) bool {
	for i := range s.where {
		if len(s.columns(t, s.where[i].field)) == 0 {
			return false
		}
	}
	for _, f := range s.by {
		if len(s.columns(t, f)) == 0 {
			return false
		}
	}
	return true
}

// shown are the names of the columns to list, distinct.
func (s *search) shown(t *table) []string {
	var out []string
	seen := map[string]bool{}
	for _, f := range s.show {
		for _, c := range s.columns(t, f) {
			if !seen[c.name] {
				seen[c.name] = true
				out = append(out, c.name)
			}
		}
	}
	return out
}

// counted are the names of the columns by which rows are counted.
func (s *search) counted(t *table) []string {
	var out []string
	for _, f := range s.by {
		out = append(out, s.columns(t, f)[0].name)
	}
	return out
}

// stamp writes a time for every language that reads ISO 8601.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// renderer returns what writes queries in a language; known is false for one without queries.
func renderer(language string) (render func(*search) (string, bool), known bool) {
	switch strings.ToLower(strings.TrimSpace(language)) {
	case "kql":
		return kql, true
	case "spl":
		return spl, true
	case "es|ql", "esql":
		return esql, true
	case "wazuh":
		return wazuh, true
	}
	return nil, false
}
