// Command gen writes the table of rare words of the lexical embedder, from the titles and
// descriptions of the rules that ship.
//
//	go run ./internal/knowledge/embed/gen internal/knowledge/embed/rarity.bin
//
// A new table is a new version of the embedder: vectors that are stored are made again.
package main

import (
	"fmt"
	"os"

	"github.com/aluskort/aluskort/internal/knowledge/embed"
	"github.com/aluskort/aluskort/internal/sigma"
	"github.com/aluskort/aluskort/rules"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: gen FILE")
	}
	list, _, err := sigma.LoadDir(rules.FS)
	if err != nil {
		return err
	}
	var texts []string
	for _, r := range list {
		texts = append(texts, r.Title+" "+r.Description)
	}
	return os.WriteFile(args[0], embed.RarityTable(texts), 0o600)
}
