package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aluskort/aluskort/internal/api/token"
)

type tokenCmd struct {
	Show   tokenShowCmd   `cmd:"" default:"1" help:"Print the local token, which the server made."`
	Rotate tokenRotateCmd `cmd:"" help:"Make a new local token; the one before ends at once."`
	Create tokenCreateCmd `cmd:"" help:"Make a token for a person or a sender and print it, once."`
	List   tokenListCmd   `cmd:"" help:"List tokens, without their secrets."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a token."`
}

type tokenShowCmd struct{}

// Run prints the local token.
func (tokenShowCmd) Run(e *env) error {
	b, err := os.ReadFile(filepath.Join(e.config.State, tokenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has no local token; `aluskort serve` makes one at its start, `aluskort token rotate` makes one now", e.config.State)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, strings.TrimSpace(string(b)))
	return err
}

type tokenRotateCmd struct{}

// Run replaces the local token.
func (tokenRotateCmd) Run(e *env) error {
	secret, err := rotateLocalToken(e)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, secret)
	return err
}

type tokenCreateCmd struct {
	Name   string   `required:"" help:"Whose token it is: the name that decisions are booked to."`
	Role   []string `required:"" enum:"analyst,senior_analyst,admin,ingest,audit_reader" help:"What it may do: ${enum}; may be given several times."`
	Tenant string   `help:"Tenant; the configured one by default."`
}

// Run makes a token.
func (c *tokenCreateCmd) Run(e *env) error {
	rec := token.Record{Name: c.Name, Tenant: c.Tenant}
	if rec.Tenant == "" {
		rec.Tenant = e.config.Tenant
	}
	for _, r := range c.Role {
		rec.Roles = append(rec.Roles, token.Role(r))
	}
	if rec.Name == token.Local {
		return &usageError{fmt.Sprintf("%q is the name of the local token; see `aluskort token rotate`", token.Local)}
	}
	secret, err := tokens(e).Create(rec)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, secret)
	return err
}

type tokenListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists tokens.
func (c *tokenListCmd) Run(e *env) error {
	list, err := tokens(e).List()
	if err != nil {
		return err
	}
	if c.JSON {
		for i := range list {
			list[i].Hash = ""
		}
		return json.NewEncoder(e.stdout).Encode(list)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLES\tTENANT\tCREATED")
	for i := range list {
		r := &list[i]
		words := make([]string, len(r.Roles))
		for j, role := range r.Roles {
			words[j] = string(role)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", inert(r.Name, 128), strings.Join(words, ","), r.Tenant, r.Created.Format(time.RFC3339))
	}
	return w.Flush()
}

type tokenRevokeCmd struct {
	Name string `arg:"" help:"Name of the token."`
}

// Run ends a token.
func (c *tokenRevokeCmd) Run(e *env) error {
	if err := tokens(e).Revoke(c.Name); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.stdout, "token %q ended\n", c.Name)
	return err
}
