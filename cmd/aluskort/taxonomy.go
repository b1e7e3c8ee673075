package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/aluskort/aluskort/internal/api"
)

type taxonomyCmd struct {
	Import taxonomyImportCmd `cmd:"" help:"Import techniques from MITRE's STIX bundles (ATT&CK, ATLAS) or ATLAS.yaml."`
	Status taxonomyStatusCmd `cmd:"" help:"Say which techniques are known."`
}

type taxonomyImportCmd struct {
	Files   []string `arg:"" name:"file" help:"Files, also gzipped; recognised by content."`
	Version string   `help:"Version, for files that do not state theirs."`
	JSON    bool     `name:"json" help:"Print one JSON object per file."`
	reach
}

// Run imports the files.
func (c *taxonomyImportCmd) Run(e *env) error {
	return c.withAPI(e, func(ctx context.Context, conn connection) error {
		for _, f := range c.Files {
			var part api.TaxonomyPart
			err := withFile(e, f, func(r io.Reader) (err error) {
				part, err = conn.client.ImportTaxonomy(ctx, r, c.Version)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			if c.JSON {
				if err := json.NewEncoder(e.stdout).Encode(part); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(e.stdout, "%s: %s %s, %d techniques, %d refused\n", f, part.Part, part.Version, part.Techniques, len(part.Refused))
			for i, r := range part.Refused {
				if i == maxPrinted {
					break
				}
				fmt.Fprintf(e.stdout, "  %s\n", inert(r, 300))
			}
		}
		return conn.settled(ctx)
	})
}

type taxonomyStatusCmd struct{ query }

// Run prints the versions.
func (c *taxonomyStatusCmd) Run(e *env) error {
	return ask(&c.query, e, func(ctx context.Context, conn connection) (api.TaxonomyStatus, error) {
		return conn.client.Taxonomy(ctx)
	}, func(w io.Writer, s *api.TaxonomyStatus) error {
		origin := "imported over the shipped table"
		if s.Shipped {
			origin = "the shipped table; `aluskort taxonomy import` reads MITRE's own files"
		}
		fmt.Fprintf(w, "%d techniques: %s\n", s.Techniques, origin)
		for _, part := range slices.Sorted(maps.Keys(s.Versions)) {
			fmt.Fprintf(w, "  %-12s %s\n", part, s.Versions[part])
		}
		return nil
	})
}
