package app

import (
	"context"
	"fmt"

	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/cache/redis"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/gateway/models"
)

// openCache connects to the cache of the configuration. Without one nothing is cached between
// processes: a single process has what it needs in memory already.
func (n *Node) openCache() error {
	c := n.opts.Config.Cache
	if len(c.Addresses) == 0 {
		return nil
	}
	hot, err := redis.Open(redis.Config{
		Addresses: c.Addresses, Cluster: c.Cluster, User: c.User, PasswordFile: c.PasswordFile,
		TLS: c.TLS.Enabled, CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Clock: n.opts.Clock,
		OnChange: func(err error) {
			if err != nil {
				n.opts.Log.Warn("the cache is away: look-ups go to the database", "error", err)
				return
			}
			n.opts.Log.Info("the cache is back")
		},
	})
	if err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	n.cache = hot
	n.closers = append(n.closers, hot.Close)
	return nil
}

// hotPatterns is the cache as patterns use it: a nil interface where there is none.
func (n *Node) hotPatterns() fp.Hot {
	if n.cache == nil {
		return nil
	}
	return n.cache
}

// hotSpend is the cache as the meter of models uses it.
func (n *Node) hotSpend() models.Hot {
	if n.cache == nil {
		return nil
	}
	return n.cache
}

var _ cache.Cache = (*redis.Cache)(nil)

// watchPatterns keeps patterns and kill switches current: every few seconds, and at once when
// another process rings. Switches that cannot be read soon allow nothing.
func (n *Node) watchPatterns(ctx context.Context) error {
	w := &fp.Watch{
		Store: n.Patterns, Gate: n.gate, Clock: n.opts.Clock, Hot: n.hotPatterns(), Every: patternsEvery,
		OnError: func(err error) {
			n.opts.Log.Error("patterns not refreshed; old kill switches soon allow nothing", "error", err)
		},
	}
	return w.Run(ctx)
}

// expirePatterns ends patterns whose time is up.
func (n *Node) expirePatterns(ctx context.Context) error {
	return n.every(ctx, "expiry of patterns", patternsEvery, func(ctx context.Context) error {
		_, err := n.Patterns.ExpireDue(ctx)
		return err
	})
}
