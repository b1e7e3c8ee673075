package app

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/engine/vector/embedded"
	"github.com/aluskort/aluskort/internal/engine/vector/qdrant"
	"github.com/aluskort/aluskort/internal/knowledge/embed"
	"github.com/aluskort/aluskort/internal/knowledge/memory"
)

// openMemory opens what people decided, with an index in the vector engine. Several processes
// cannot share the embedded engine; without Qdrant they look for words in the database.
func (n *Node) openMemory() (err error) {
	var vectors vector.Engine
	c := n.opts.Config.Vectors
	switch {
	case c.Address != "":
		cfg := qdrant.Config{Address: c.Address, APIKeyFile: c.APIKeyFile, Clock: n.opts.Clock}
		if c.TLS {
			cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if vectors, err = qdrant.Open(cfg); err != nil {
			return fmt.Errorf("open the vector engine: %w", err)
		}
	case n.whole():
		e, err := embedded.Open(n.dir.Path("vectors"), embedded.Options{Log: n.opts.Log})
		if err != nil {
			return fmt.Errorf("open the vector engine: %w", err)
		}
		vectors = e
		n.background = append(n.background, stage{"vectors", func(ctx context.Context) error {
			if err := e.Load(ctx); err != nil && ctx.Err() == nil {
				n.opts.Log.Error("vectors are not loaded; they are when they are asked for", "error", err)
			}
			return nil
		}, always})
	}
	if vectors != nil {
		n.closers = append(n.closers, vectors.Close)
	}
	n.memory, err = memory.New(memory.Config{DB: n.State, Vectors: vectors, Embedder: embed.Lexical{}, Clock: n.opts.Clock, Log: n.opts.Log})
	if err == nil {
		n.background = append(n.background, stage{"incident memory", n.memory.Run, always})
	}
	return err
}
