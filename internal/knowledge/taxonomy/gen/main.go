// Command gen writes the table of techniques that ships with the program, from the files that
// MITRE publishes:
//
//	enterprise-attack.json, ics-attack.json   https://github.com/mitre-attack/attack-stix-data
//	ATLAS.yaml                                https://github.com/mitre-atlas/atlas-data
//
// It is run by go generate with the paths in $ATTACK_ENTERPRISE, $ATTACK_ICS and $ATLAS_YAML;
// files may be gzipped. The table holds ids, names, tactics and state, nothing else.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
)

func main() {
	out := flag.String("out", "techniques.tsv", "file to write")
	version := flag.String("attack-version", "", "version of bundles that do not state theirs")
	flag.Parse()
	if err := run(*out, *version, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(out, version string, paths []string) (err error) {
	if len(paths) == 0 {
		return errors.New("no files: set ATTACK_ENTERPRISE, ATTACK_ICS and ATLAS_YAML, or name the files")
	}
	all := taxonomy.New(nil, nil)
	for _, path := range paths {
		b, err := read(path, version)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, why := range b.Refused {
			fmt.Fprintf(os.Stderr, "%s: refused %s\n", path, why)
		}
		fmt.Printf("%s: %s %s, %d techniques\n", path, b.Part, b.Version, len(b.Techniques))
		all = b.Taxonomy().Over(all)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return taxonomy.WriteTable(f, all)
}

func read(path, version string) (b *taxonomy.Bundle, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return taxonomy.Read(f, taxonomy.Options{Version: version})
}
