package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/aluskort/aluskort/internal/asset"
)

type assetsCmd struct {
	Check  assetsCheckCmd  `cmd:"" help:"Say what an org.yaml contains, and what is wrong with it."`
	Import assetsImportCmd `cmd:"" help:"Put an org.yaml into use: hosts, zones, owners, models and how they connect."`
}

type assetsImportCmd struct {
	File string `arg:"" help:"File to import; \"-\" reads standard input."`
	JSON bool   `name:"json" help:"Print JSON."`
	reach
}

// Run checks the file, puts it in the place of the old one and has it read, by the server if one
// runs. A file with a mistake changes nothing.
func (c *assetsImportCmd) Run(e *env) error {
	if named := e.config.Org; named != "" {
		return fmt.Errorf("the configuration names %s: change that file and run \"aluskort reload\"", named)
	}
	var content []byte
	err := withFile(e, c.File, func(r io.Reader) (err error) {
		content, err = io.ReadAll(io.LimitReader(r, asset.MaxFile+1))
		return err
	})
	if err != nil {
		return fmt.Errorf("organisation: %w", err)
	}
	org, err := asset.Load(bytes.NewReader(content), filepath.Base(c.File))
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(e.config.State, "org.yaml"), content); err != nil {
		return fmt.Errorf("organisation: %w", err)
	}
	if !c.JSON {
		for _, tenant := range checkedTenants(org) {
			if err := printCounts(e.stdout, tenant, org.Counts(tenant)); err != nil {
				return err
			}
		}
	}
	return (&reloadCmd{query{JSON: c.JSON, reach: c.reach}}).Run(e)
}

// replaceFile writes a file beside and renames it, so that a reader sees the old one or the new.
func replaceFile(path string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".org-*.yaml")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

type assetsCheckCmd struct {
	File string `arg:"" optional:"" help:"File to check; org.yaml of the state directory by default." type:"path"`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run loads the file as the product would. Problems name file and line.
func (c *assetsCheckCmd) Run(e *env) error {
	if c.File == "" {
		c.File = filepath.Join(e.config.State, "org.yaml")
	}
	f, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("organisation: %w", err)
	}
	org, err := asset.Load(f, filepath.Base(c.File))
	err = errors.Join(err, f.Close())
	if c.JSON {
		return errors.Join(c.json(e.stdout, org, err), err)
	}
	if err != nil {
		return err
	}
	for _, p := range org.Warnings() {
		fmt.Fprintf(e.stdout, "%s:%d: warning: %s\n", filepath.Base(c.File), p.Line, inert(p.Text, 400))
	}
	for _, tenant := range checkedTenants(org) {
		if err := printCounts(e.stdout, tenant, org.Counts(tenant)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(e.stdout, "%s is usable\n", filepath.Base(c.File))
	return err
}

// checkedTenants are the tenants of the file, or "" for sections that hold for any.
func checkedTenants(org *asset.Org) []string {
	if t := org.Tenants(); len(t) > 0 {
		return t
	}
	return []string{""}
}

func (c *assetsCheckCmd) json(w io.Writer, org *asset.Org, err error) error {
	out := struct {
		File     string                  `json:"file"`
		Usable   bool                    `json:"usable"`
		Problems []asset.Problem         `json:"problems"`
		Warnings []asset.Problem         `json:"warnings"`
		Tenants  map[string]asset.Counts `json:"tenants"`
	}{c.File, err == nil, []asset.Problem{}, []asset.Problem{}, map[string]asset.Counts{}}
	var bad *asset.LoadError
	if errors.As(err, &bad) {
		out.Problems = bad.Problems
	}
	if err == nil {
		out.Warnings = append(out.Warnings, org.Warnings()...)
		for _, tenant := range checkedTenants(org) {
			out.Tenants[tenant] = org.Counts(tenant)
		}
	}
	return json.NewEncoder(w).Encode(out)
}

func printCounts(w io.Writer, tenant string, n asset.Counts) error {
	name := "every tenant"
	if tenant != "" {
		name = "tenant " + inert(tenant, 100)
	}
	_, err := fmt.Fprintf(w, `%s
  hosts                 %d (crown jewels, accounts included: %d; test assets: %d)
  addresses of hosts    %d
  accounts              %d
  own domains, zones    %d, %d
  models                %d
  administrators        %d entries with %d tools
  maintenance windows   %d
  exercises             %d
`, name, n.Hosts, n.CrownJewels, n.TestAssets, n.Leases, n.Accounts, n.Domains, n.Zones, n.Models, n.Administrators, n.Tools, n.MaintenanceWindows, n.Exercises)
	if err != nil {
		return err
	}
	for _, role := range slices.Sorted(maps.Keys(n.Roles)) {
		if _, err := fmt.Fprintf(w, "  %-21s %d\n", role, n.Roles[role]); err != nil {
			return err
		}
	}
	return nil
}
