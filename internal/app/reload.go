package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/reason/rules"
)

// maxListed bounds the problems that an error names.
const maxListed = 20

// Reload reads org.yaml, the rule folders and the taxonomy again and puts them into force
// between two batches, all of them or none: with a file that cannot be used, or a rule that
// became unusable, everything stays as it was and the error, which wraps api.ErrUnusable, says
// what is wrong. by is who asked; the trail has a record of what changed, and of a refusal.
// It concerns this process alone.
func (n *Node) Reload(ctx context.Context, by string) (api.Reloaded, error) {
	return n.reload(ctx, by, false)
}

// ReloadAll is Reload, and a request to the other processes that share the database to read their
// own files again, which they do within seconds. What this process refuses it passes on to nobody.
func (n *Node) ReloadAll(ctx context.Context, by string) (api.Reloaded, error) {
	return n.reload(ctx, by, !n.opts.Config.Embedded())
}

func (n *Node) reload(ctx context.Context, by string, all bool) (api.Reloaded, error) {
	n.changing.Lock()
	defer n.changing.Unlock()
	next, err := n.readUsable(ctx)
	switch {
	case err == nil:
		return n.use(ctx, by, next, all)
	case errors.Is(err, store.ErrUnavailable):
		return api.Reloaded{}, fmt.Errorf("%w: %w", api.ErrUnavailable, err)
	case passing(ctx, err):
		return api.Reloaded{}, err
	}
	n.refuse(ctx, by, err)
	return api.Reloaded{}, fmt.Errorf("%w: %w", api.ErrUnusable, err)
}

// readUsable reads everything anew; an error that is not passing says what cannot be used.
func (n *Node) readUsable(ctx context.Context) (*knowledge, error) {
	next, err := n.readKnowledge(ctx)
	if err == nil {
		err = newProblems(n.know.Load().rules, next.rules)
	}
	return next, err
}

// passing reports whether an error says nothing about the files.
func passing(ctx context.Context, err error) bool {
	return errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil
}

// refuse records that files were not taken over, and why.
func (n *Node) refuse(ctx context.Context, by string, why error) {
	if err := n.recordChange(ctx, by, n.know.Load(), nil, why, nil); err != nil {
		n.opts.Log.Error("a refused reload is not in the audit trail", "by", by, "error", err)
	}
}

// useTaxonomy puts the stored taxonomy into force and leaves the files as they were read.
func (n *Node) useTaxonomy(ctx context.Context, by string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	next, err := n.withStoredTaxonomy(ctx)
	if err != nil {
		return err
	}
	_, err = n.use(ctx, by, next, false)
	return err
}

// withStoredTaxonomy is what is in force, with the taxonomy that the database has now. The caller
// holds changing.
func (n *Node) withStoredTaxonomy(ctx context.Context) (*knowledge, error) {
	tax, err := n.readTaxonomy(ctx)
	if err != nil {
		return nil, err
	}
	next := *n.know.Load()
	next.taxonomy, next.digest = tax, maps.Clone(next.digest)
	next.digest[partTaxonomy] = taxonomyDigest(tax)
	return &next, nil
}

// use puts knowledge into force once the record of it, and with all the request to the other
// processes, is durable. The caller holds changing.
func (n *Node) use(ctx context.Context, by string, next *knowledge, all bool) (api.Reloaded, error) {
	old := n.know.Load()
	out := api.Reloaded{
		Changed: changed(old, next), Rules: next.rules.Len(), Unusable: reasonsOf(next.rules.Problems()),
		Techniques: next.taxonomy.Len(), Versions: next.taxonomy.Versions(),
	}
	var request int64
	also := func(tx store.Tx) (err error) {
		if all {
			request, err = n.requestReload(tx, by, next.files())
		}
		return err
	}
	if len(out.Changed) > 0 || all {
		if err := n.recordChange(ctx, by, old, next, nil, also); err != nil {
			return api.Reloaded{}, err
		}
	}
	n.swap(next)
	if request == n.reloaded+1 { // with others in between, this process has to look again
		n.reloaded = request
	}
	return out, nil
}

// swap puts knowledge into force between two batches. The caller holds changing.
func (n *Node) swap(next *knowledge) {
	n.steady.Lock()
	defer n.steady.Unlock()
	n.know.Store(next)
}

// changed names the parts that differ.
func changed(old, next *knowledge) []string {
	out := []string{}
	for part, digest := range next.digest {
		if old.digest[part] != digest {
			out = append(out, part)
		}
	}
	slices.Sort(out)
	return out
}

// newProblems is an error when rules are unusable that were not before.
func newProblems(old, next *rules.Source) error {
	known := map[rules.Problem]bool{}
	for _, p := range old.Problems() {
		known[p] = true
	}
	fresh := slices.DeleteFunc(slices.Clone(next.Problems()), func(p rules.Problem) bool { return known[p] })
	if len(fresh) == 0 {
		return nil
	}
	return fmt.Errorf("%d rules cannot be used: %s", len(fresh), strings.Join(reasonsOf(fresh), "; "))
}

func reasonsOf(list []rules.Problem) []string {
	out := make([]string, 0, min(len(list), maxListed))
	for _, p := range list[:min(len(list), maxListed)] {
		out = append(out, p.Reason)
	}
	if more := len(list) - maxListed; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

// recordChange says in the trail of the installation's owner what verdicts rest on from now on
// where that is something else, or, without next, that a change was refused and why. also is done
// in the same transaction.
func (n *Node) recordChange(ctx context.Context, by string, old, next *knowledge, refused error, also func(store.Tx) error) error {
	var events []audit.Event
	if next == nil || len(changed(old, next)) > 0 {
		event, err := changeEvent(n.opts.Clock.Now(), by, old, next, refused)
		if err != nil {
			return err
		}
		events = append(events, event)
	}
	return n.recordWith(ctx, n.opts.Config.Tenant, events, also)
}

const maxChangeText = 4 << 10

func changeEvent(now time.Time, by string, old, next *knowledge, refused error) (audit.Event, error) {
	var o audit.Object
	status, before, after := "applied", old.digest, map[string]string{}
	if next != nil {
		o.Strs("changed", changed(old, next))
		after = next.digest
	} else {
		status = "refused"
	}
	for _, part := range slices.Sorted(maps.Keys(before)) {
		if next == nil || before[part] != after[part] {
			o.Str(part+"_before", before[part])
		}
		if next != nil && before[part] != after[part] {
			o.Str(part+"_after", after[part])
		}
	}
	decision, err := o.Finish()
	o.Reset()
	o.Str("outcome_status", status)
	severity := audit.SeverityInfo
	if refused != nil {
		severity = audit.SeverityWarning
		text := strings.ToValidUTF8(refused.Error(), "\uFFFD")
		o.Str("reason", strings.ToValidUTF8(text[:min(len(text), maxChangeText)], "\uFFFD"))
	}
	outcome, err2 := o.Finish()
	return audit.Event{
		Type: audit.ConfigChanged, Timestamp: now.UnixMicro(), Severity: severity, ActorType: audit.ActorHuman,
		ActorID: strings.ToValidUTF8(by, "\uFFFD"), SourceService: "app", Decision: decision, Outcome: outcome,
	}, errors.Join(err, err2)
}
