package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
)

// followEvery is how soon a process uses what another one changed.
const followEvery = 5 * time.Second

// followed is something that other processes change in the database.
type followed struct {
	what string
	// stamp is another after each change.
	stamp func(context.Context) (string, error)
	take  func(context.Context) error
	last  string
	taken bool
}

// follow puts into use what other processes imported, learned or were asked to read again, until
// ctx ends. Whoever made a change recorded it; those who follow do not.
func (n *Node) follow(ctx context.Context) error {
	list := []*followed{
		{what: "indicators", stamp: number(n.Intel.CountImports), take: func(ctx context.Context) error {
			return n.Intel.Refresh(ctx, n.liveIntel, n.opts.Clock.Now())
		}},
		{what: "techniques", stamp: number(taxonomy.NewStore(n.State).Changed), take: n.followTaxonomy},
		{what: "priors", stamp: n.judgements.Latest, take: n.followPriors},
		{what: "files", stamp: func(ctx context.Context) (string, error) {
			r, err := n.lastReload(ctx)
			return strconv.FormatInt(r.seq, 10), err
		}, take: n.followReload},
	}
	return n.every(ctx, "changes of other processes", followEvery, func(ctx context.Context) error {
		var errs []error
		for _, f := range list { // one that fails holds up no other
			if err := f.follow(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", f.what, err))
			}
		}
		return errors.Join(errs...)
	})
}

// follow takes over what is stored if it is another than last time. The first time it may have
// changed since the start.
func (f *followed) follow(ctx context.Context) error {
	stamp, err := f.stamp(ctx)
	if err != nil || f.taken && stamp == f.last {
		return err
	}
	if err := f.take(ctx); err != nil {
		return err
	}
	f.last, f.taken = stamp, true
	return nil
}

func number(stamp func(context.Context) (int64, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		n, err := stamp(ctx)
		return strconv.FormatInt(n, 10), err
	}
}

func (n *Node) followTaxonomy(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	next, err := n.withStoredTaxonomy(ctx)
	if err != nil {
		return err
	}
	n.swap(next)
	return nil
}

func (n *Node) followPriors(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	next, err := n.judgements.Load(ctx)
	if err != nil || next.Version() == n.priors.Snapshot().Version() {
		return err
	}
	n.steady.Lock()
	defer n.steady.Unlock()
	n.priors.Replace(next)
	return nil
}

// reloadRequest is what a process leaves for the others when it has read its files again.
type reloadRequest struct {
	seq    int64 // 0 means that nobody ever asked
	actor  string
	digest string
}

const requestReload = `INSERT INTO reload_request (one, seq, actor, digest, asked_at) VALUES (1, 1, $1, $2, $3)
	ON CONFLICT (one) DO UPDATE SET seq = reload_request.seq + 1, actor = excluded.actor, digest = excluded.digest,
	asked_at = excluded.asked_at RETURNING seq`

// requestReload tells the other processes to read their files again, and returns the number of
// the request.
func (n *Node) requestReload(tx store.Tx, by, digest string) (seq int64, err error) {
	if err := tx.QueryRow(requestReload, by, digest, n.opts.Clock.Now().UnixMicro()).Scan(&seq); err != nil {
		return 0, fmt.Errorf("ask the other processes: %w", err)
	}
	return seq, nil
}

func (n *Node) lastReload(ctx context.Context) (r reloadRequest, err error) {
	err = n.State.View(ctx, func(tx store.Tx) error {
		err := tx.QueryRow(`SELECT seq, actor, digest FROM reload_request`).Scan(&r.seq, &r.actor, &r.digest)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return reloadRequest{}, fmt.Errorf("last request to reload: %w", err)
	}
	return r, nil
}

// followReload reads the files of this process again because another process was asked to. Files
// that cannot be used change nothing here, which the trail says; the request is not tried again.
func (n *Node) followReload(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	r, err := n.lastReload(ctx)
	if err != nil || r.seq == n.reloaded {
		return err
	}
	next, err := n.readUsable(ctx)
	switch {
	case err != nil && passing(ctx, err):
		return err
	case err != nil:
		n.refuse(ctx, r.actor, err)
		n.opts.Log.Error("the files of this process cannot be used; what was in force stays, other than in the process that was asked",
			"by", r.actor, "error", err)
	case next.files() == r.digest:
		n.swap(next)
	default:
		n.opts.Log.Warn("the files of this process are not those of the process that was asked", "by", r.actor)
		if _, err := n.use(ctx, r.actor, next, false); err != nil {
			return err
		}
	}
	n.reloaded = r.seq
	return nil
}
