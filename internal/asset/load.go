package asset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the size in bytes up to which a file is read.
const MaxFile = 4 << 20

// Org is what org.yaml says about each tenant. A nil or empty Org knows nothing: no predicate
// holds and no name resolves.
type Org struct {
	every    *site            // sections that stand at the top: for every tenant
	tenants  map[string]*site // sections below "tenants"
	names    []string         // tenants in the order of the file
	warnings []Problem
}

// site is the organisation of one tenant.
type site struct {
	Resolver
	admins    []*admin
	adminOf   map[int]*admin // by account
	roles     [len(roleNames)]*members
	windows   []window
	exercises []exercise
	dirs      []path
	zones     map[string]Zone // by folded name
	models    []model
	connects  map[int][]int // hosts to the hosts that they can open connections to
	counts    Counts
}

// admin is one entry of the administrators: accounts, the hosts they work from, their tools.
type admin struct {
	hosts *members
	tools []tool
}

// Load reads org.yaml. name is the file's name, for messages. What is wrong is reported whole,
// as a *LoadError with line numbers. An empty file is an Org that knows nothing.
func Load(in io.Reader, name string) (*Org, error) {
	b, err := io.ReadAll(io.LimitReader(in, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > MaxFile {
		return nil, &LoadError{name, []Problem{{1, fmt.Sprintf("the file is larger than %d bytes", MaxFile)}}}
	}
	doc, problem := document(b)
	if problem != nil {
		return nil, &LoadError{name, []Problem{*problem}}
	}
	o := &Org{every: &site{}}
	if doc == nil {
		return o, nil
	}
	var r reader
	sites := r.file(doc)
	for i := range sites {
		s := (&builder{reader: &r, raw: &sites[i], site: &site{}}).build()
		if sites[i].tenant == "" {
			o.every = s
			continue
		}
		if o.tenants == nil {
			o.tenants, o.every = map[string]*site{}, nil
		}
		o.tenants[sites[i].tenant] = s
		o.names = append(o.names, sites[i].tenant)
	}
	if len(r.problems) > 0 {
		return nil, &LoadError{name, sorted(r.problems)}
	}
	o.warnings = sorted(r.warnings)
	return o, nil
}

// document parses the one document of a file; nil when there is nothing in it.
func document(b []byte) (*yaml.Node, *Problem) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntaxProblem(err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, &Problem{more.Line, "a second document begins here; put everything into one"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxProblem(err)
	}
	if len(doc.Content) != 1 || isNull(doc.Content[0]) {
		return nil, nil
	}
	return doc.Content[0], nil
}

func syntaxProblem(err error) *Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, what, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			return &Problem{line, "not valid YAML: " + what}
		}
	}
	return &Problem{1, "not valid YAML: " + text}
}

// site returns what is known about a tenant; nil when nothing is.
func (o *Org) site(tenant string) *site {
	if o == nil {
		return nil
	}
	if o.tenants != nil {
		return o.tenants[tenant]
	}
	return o.every
}

// Resolver returns the names of a tenant. It is never nil.
func (o *Org) Resolver(tenant string) *Resolver {
	if s := o.site(tenant); s != nil {
		return &s.Resolver
	}
	return &Resolver{}
}

// Tenants returns the tenants that the file names, in its order; none when its sections stand
// at the top and so hold for whichever tenant there is.
func (o *Org) Tenants() []string {
	if o == nil {
		return nil
	}
	return slices.Clone(o.names)
}

// Warnings returns what is allowed but probably not meant.
func (o *Org) Warnings() []Problem {
	if o == nil {
		return nil
	}
	return slices.Clone(o.warnings)
}

// Counts says how much of each kind a tenant's sections name.
type Counts struct {
	Hosts              int            `json:"hosts"`
	Accounts           int            `json:"accounts"`
	CrownJewels        int            `json:"crown_jewels"`
	TestAssets         int            `json:"test_assets"`
	Leases             int            `json:"leases"`
	Administrators     int            `json:"administrators"`
	Tools              int            `json:"tools"`
	Roles              map[string]int `json:"roles,omitempty"`
	MaintenanceWindows int            `json:"maintenance_windows"`
	Exercises          int            `json:"exercises"`
	Zones              int            `json:"zones"`
	Models             int            `json:"models,omitempty"`
	Domains            int            `json:"domains"`
}

// Counts returns how much is known about a tenant.
func (o *Org) Counts(tenant string) Counts {
	s := o.site(tenant)
	if s == nil {
		return Counts{}
	}
	c := s.counts
	c.Roles = map[string]int{}
	for i, name := range roleNames {
		if s.roles[i] != nil {
			c.Roles[name] = s.roles[i].count
		}
	}
	return c
}
