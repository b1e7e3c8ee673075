package fp

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

func TestLifecycle(t *testing.T) {
	f := newFixture(t)
	a, e := scanAlert()
	fits := func() bool { _, ok := f.gate.Patterns.Match("default", a, e, f.clock.Now()); return ok }

	p := f.propose(t, scan(), "ann")
	if p.Status != PendingReview || p.Version != 1 || fits() {
		t.Errorf("proposed: %+v", p)
	}
	p = f.approve(t, p, "bob")
	if p.Status != Approved || p.Version != 2 || !p.Expiry.IsZero() || fits() {
		t.Errorf("first approval: %+v", p)
	}
	f.clock.move(time.Hour)
	p = f.approve(t, p, "cleo")
	if p.Status != Active || !p.Expiry.Equal(f.clock.Now().Add(Term)) || !fits() {
		t.Errorf("second approval: %+v", p)
	}
	stored, err := f.Get(t.Context(), "default", p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Digest() != p.Digest() || stored.ApprovedBy1 != "bob" || stored.ApprovedBy2 != "cleo" || stored.Version != 3 || !stored.Expiry.Equal(p.Expiry) {
		t.Errorf("stored: %+v", stored)
	}

	f.clock.move(Term - time.Microsecond)
	if list, err := f.ExpireDue(t.Context()); err != nil || len(list) != 0 || !fits() {
		t.Errorf("expired too early: %v %v", list, err)
	}
	f.clock.move(time.Microsecond)
	if fits() {
		t.Error("matches after its term, before anybody swept")
	}
	list, err := f.ExpireDue(t.Context())
	if err != nil || len(list) != 1 || list[0].Status != Expired {
		t.Fatalf("%v %v", list, err)
	}
	if list, err := f.ExpireDue(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("expired twice: %v %v", list, err)
	}
	p, err = f.Reaffirm(t.Context(), "default", p.ID, Act{Actor: "bob", Reason: "still the same scan"}, clean(t, &p.Definition))
	if err != nil || p.Status != Active || !p.Expiry.Equal(f.clock.Now().Add(Term)) || !fits() || p.EndedBy != "" {
		t.Errorf("reaffirmed: %+v %v", p, err)
	}
	want := []audit.Type{audit.PatternCreated, audit.PatternApproved, audit.PatternApproved, audit.PatternActivated, audit.PatternExpired, audit.PatternActivated}
	if got := f.trail.types(); !slices.Equal(got, want) {
		t.Errorf("audit: %v", got)
	}
	if ev := f.trail.events[4]; ev.ActorType != audit.ActorScheduler {
		t.Errorf("expiry was recorded as done by %v %q", ev.ActorType, ev.ActorID)
	}
	var rows int
	f.update(t, func(tx store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM outbox`).Scan(&rows) })
	if rows != len(want) {
		t.Errorf("%d messages in the outbox, want %d", rows, len(want))
	}
}

func TestApprovalsAreByThreePeople(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second string
		want          error
	}{
		{"three people", "bob", "cleo", nil},
		{"proposer first", "ann", "", ErrForbidden},
		{"proposer in capitals", "ANN", "", ErrForbidden},
		{"proposer second", "bob", "Ann", ErrForbidden},
		{"one approver twice", "bob", "bob", ErrForbidden},
		{"one approver twice in capitals", "bob", "Bob", ErrForbidden},
		{"name with space", "bob", "bob ", ErrInvalid},
		{"name with an invisible character", "bob", "bob\u200b", ErrInvalid},
		{"nobody", "", "", ErrInvalid},
		{"the schedule", "Expiry", "", ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			p := f.propose(t, scan(), "ann")
			var err error
			for _, by := range []string{c.first, c.second} {
				if err != nil || by == "" && c.first != "" {
					break
				}
				_, err = f.Approve(t.Context(), "default", p.ID, Act{Actor: by, Reason: "fine"}, clean(t, &p.Definition))
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			p, getErr := f.Get(t.Context(), "default", p.ID)
			if getErr != nil || (p.Status == Active) != (c.want == nil) {
				t.Errorf("%s %v", p.Status, getErr)
			}
		})
	}
}

func TestTransitions(t *testing.T) {
	act := Act{Actor: "dora", Reason: "because"}
	type op func(*fixture, *Pattern) error
	approve := func(f *fixture, p *Pattern) error {
		_, err := f.Approve(context.Background(), p.Tenant, p.ID, act, clean(t, &p.Definition))
		return err
	}
	reject := func(f *fixture, p *Pattern) error {
		_, err := f.Reject(context.Background(), p.Tenant, p.ID, act)
		return err
	}
	revoke := func(f *fixture, p *Pattern) error {
		_, err := f.Revoke(context.Background(), p.Tenant, p.ID, act)
		return err
	}
	reaffirm := func(f *fixture, p *Pattern) error {
		_, err := f.Reaffirm(context.Background(), p.Tenant, p.ID, act, clean(t, &p.Definition))
		return err
	}
	promote := func(f *fixture, p *Pattern) error {
		_, err := f.Promote(context.Background(), p.Tenant, p.ID, act, clean(t, &p.Definition))
		return err
	}
	names := []string{"approve", "reject", "revoke", "reaffirm", "promote"}
	ops := []op{approve, reject, revoke, reaffirm, promote}
	allowed := map[Status]string{
		PendingReview: "approve reject revoke", Approved: "approve reject revoke", Active: "revoke reaffirm",
		Shadow: "revoke reaffirm", Expired: "revoke reaffirm", Deprecated: "", Revoked: "",
	}
	for status, may := range allowed {
		for i, o := range ops {
			f := newFixture(t)
			p := f.reach(t, status)
			err := o(f, p)
			if want := slices.Contains(strings.Fields(may), names[i]); (err == nil) != want || err != nil && !errors.Is(err, ErrConflict) {
				t.Errorf("%s of a pattern that is %s: %v", names[i], status, err)
			}
		}
	}
}

// reach takes a new pattern to a status.
func (f *fixture) reach(t *testing.T, s Status) *Pattern {
	t.Helper()
	d := scan()
	d.Shadow = s == Shadow
	p := f.propose(t, d, "ann")
	var err error
	switch s {
	case PendingReview:
	case Approved:
		p = f.approve(t, p, "bob")
	case Deprecated:
		p, err = f.Reject(t.Context(), "default", p.ID, Act{Actor: "bob", Reason: "no"})
	default:
		p = f.approve(t, f.approve(t, p, "bob"), "cleo")
	}
	switch s {
	case Expired:
		f.clock.move(Term)
		_, err = f.ExpireDue(t.Context())
	case Revoked:
		_, err = f.Revoke(t.Context(), "default", p.ID, Act{Actor: "bob", Reason: "no"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if p, err = f.Get(t.Context(), "default", p.ID); err != nil || p.Status != s {
		t.Fatalf("%s, want %s (%v)", p.Status, s, err)
	}
	return p
}

func TestDecisionsNeedTheirBacktest(t *testing.T) {
	f := newFixture(t)
	d := scan()
	other := scan()
	other.Name = "something else"
	refused := clean(t, &d)
	refused.Refusals = []Refusal{{RefusedCriticalClass, "test"}}
	for _, r := range []*Report{nil, {}, clean(t, &other), refused} {
		if _, err := f.Propose(t.Context(), d, Act{Actor: "ann", Reason: "x"}, r); !errors.Is(err, ErrRefused) {
			t.Errorf("proposed with %+v: %v", r, err)
		}
	}
	p := f.propose(t, d, "ann")
	for _, r := range []*Report{nil, refused} {
		if _, err := f.Approve(t.Context(), "default", p.ID, Act{Actor: "bob", Reason: "x"}, r); !errors.Is(err, ErrRefused) {
			t.Errorf("approved with %+v: %v", r, err)
		}
	}
	d.Entities = nil
	if _, err := f.Propose(t.Context(), d, Act{Actor: "ann", Reason: "x"}, clean(t, &d)); !errors.Is(err, ErrRefused) {
		t.Errorf("proposed although Check refuses it: %v", err)
	}
}

func TestVersionsFence(t *testing.T) {
	f := newFixture(t)
	p := f.propose(t, scan(), "ann")
	f.approve(t, p, "bob")
	_, err := f.Approve(t.Context(), "default", p.ID, Act{Actor: "cleo", Reason: "x", Version: p.Version}, clean(t, &p.Definition))
	if !errors.Is(err, ErrConflict) {
		t.Errorf("decided on a version that is gone: %v", err)
	}
	if _, err := f.Get(t.Context(), "other", p.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tenant reads the pattern: %v", err)
	}
	if _, err := f.Revoke(t.Context(), "other", p.ID, Act{Actor: "eve", Reason: "x"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tenant revokes the pattern: %v", err)
	}
}

func TestNoChangeWithoutItsAudit(t *testing.T) {
	f := newFixture(t)
	p := f.propose(t, scan(), "ann")
	f.trail.err = errors.New("no audit")
	if _, err := f.Approve(t.Context(), "default", p.ID, Act{Actor: "bob", Reason: "x"}, clean(t, &p.Definition)); err == nil {
		t.Error("approved without audit")
	}
	if _, err := f.KillOn(t.Context(), DimensionTenant, "default", Act{Actor: "bob", Reason: "x"}); err == nil {
		t.Error("switched without audit")
	}
	p, err := f.Get(t.Context(), "default", p.ID)
	if err != nil || p.Status != PendingReview || p.Version != 1 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestShadowIsPromotedByWhatItShowed(t *testing.T) {
	f := newFixture(t)
	p := f.reach(t, Shadow)
	promote := func(by string) error {
		_, err := f.Promote(t.Context(), "default", p.ID, Act{Actor: by, Reason: "agrees"}, clean(t, &p.Definition))
		return err
	}
	show := func(n, disagreed int) {
		f.update(t, func(tx store.Tx) error { return f.RecordShadow(tx, p.ID, n, disagreed) })
	}
	show(49, 0)
	if err := promote("bob"); !errors.Is(err, ErrConflict) {
		t.Errorf("promoted after 49 decisions: %v", err)
	}
	show(1, 3)
	if err := promote("bob"); !errors.Is(err, ErrConflict) {
		t.Errorf("promoted with 3 of 50 against it: %v", err)
	}
	show(10, 0)
	if err := promote("ann"); !errors.Is(err, ErrForbidden) {
		t.Errorf("promoted by the proposer: %v", err)
	}
	if err := promote("bob"); err != nil {
		t.Error(err)
	}
	in := goodInput()
	in.At = f.clock.Now()
	if d := f.gate.Decide(in); !d.Close {
		t.Errorf("%+v", d)
	}
}

func TestRevocationListsWhatToReopen(t *testing.T) {
	f := newFixture(t)
	p := f.activate(t, scan())
	q := f.activate(t, scan())
	f.update(t, func(tx store.Tx) error {
		if err := f.Current(tx, f.gate); err != nil {
			return err
		}
		return f.RecordClosures(tx, []Closure{{p.ID, "i2", testTime}, {p.ID, "i1", testTime.Add(time.Minute)}, {q.ID, "i3", testTime}})
	})
	f.update(t, func(tx store.Tx) error { return f.RecordClosure(tx, p.ID, "i1", testTime) })
	if got, err := f.Get(t.Context(), "default", p.ID); err != nil || got.Occurrences != 3 || !got.LastOccurrence.Equal(testTime.Add(time.Minute)) || got.Version != p.Version {
		t.Errorf("%+v %v", got, err)
	}
	r, err := f.Revoke(t.Context(), "default", p.ID, Act{Actor: "ann", Reason: "an attacker used the scanner"})
	if err != nil || !slices.Equal(r.Investigations, []string{"i1", "i2"}) || r.Pattern.Status != Revoked {
		t.Fatalf("%+v %v", r, err)
	}
	// A closing that was decided before and commits after.
	f.update(t, func(tx store.Tx) error { return f.RecordClosure(tx, p.ID, "i4", testTime) })
	f.update(t, func(tx store.Tx) error { return f.MarkReopened(tx, p.ID, "i1", f.clock.Now()) })
	pending, err := f.PendingReopen(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, x := range pending {
		ids = append(ids, x.Investigation)
		if x.Tenant != "default" || x.Pattern != p.ID || x.Actor != "ann" || x.Reason == "" {
			t.Errorf("%+v", x)
		}
	}
	if !slices.Equal(ids, []string{"i2", "i4"}) {
		t.Errorf("to re-open: %v", ids)
	}
}

func TestOldSnapshotsCloseNothing(t *testing.T) {
	f := newFixture(t)
	p := f.activate(t, scan())
	old := &Gate{Patterns: &Matcher{}, Switches: &Switches{}}
	if err := f.Refresh(t.Context(), old.Patterns, old.Switches); err != nil {
		t.Fatal(err)
	}
	current := func() (err error) {
		f.update(t, func(tx store.Tx) error { err = f.Current(tx, old); return nil })
		return err
	}
	if err := current(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.KillOn(t.Context(), DimensionPattern, p.ID, Act{Actor: "ann", Reason: "stop"}); err != nil {
		t.Fatal(err)
	}
	if err := current(); !errors.Is(err, ErrStale) {
		t.Errorf("after a switch: %v", err)
	}
	if err := f.Refresh(t.Context(), old.Patterns, old.Switches); err != nil || current() != nil {
		t.Errorf("after a refresh: %v %v", err, current())
	}
	if _, err := f.Revoke(t.Context(), "default", p.ID, Act{Actor: "ann", Reason: "stop"}); err != nil {
		t.Fatal(err)
	}
	if err := current(); !errors.Is(err, ErrStale) {
		t.Errorf("after a revocation: %v", err)
	}
}

func TestKillSwitchesAreStored(t *testing.T) {
	f := newFixture(t)
	p := f.activate(t, scan())
	in := goodInput()
	in.Alert.Techniques = []string{"T1046"}
	closes := func() bool {
		in.At = f.clock.Now()
		return f.gate.Decide(in).Close
	}
	if !closes() {
		t.Fatal("the pattern does not close")
	}
	f.trail.events, f.trail.tenants = nil, nil
	act := Act{Actor: "dora", Reason: "incident 7"}
	for _, c := range []struct {
		d     Dimension
		value string
	}{{DimensionTenant, "default"}, {DimensionTenant, "*"}, {DimensionPattern, strings.ToUpper(p.ID)}, {DimensionTechnique, "T1046"}, {DimensionDatasource, "Wazuh"}} {
		for range 2 { // the second time changes only the reason
			if _, err := f.KillOn(t.Context(), c.d, c.value, act); err != nil {
				t.Fatal(err)
			}
		}
		if closes() {
			t.Errorf("closes although %s %s is off", c.d, c.value)
		}
		list, err := f.KillSwitches(t.Context())
		if err != nil || len(list) != 1 || list[0].ActivatedBy != "dora" || list[0].Reason != "incident 7" || !list[0].ActivatedAt.Equal(f.clock.Now()) {
			t.Errorf("%+v %v", list, err)
		}
		if err := f.KillOff(t.Context(), c.d, c.value, act); err != nil {
			t.Fatal(err)
		}
		if !closes() {
			t.Errorf("does not close although %s %s is on again", c.d, c.value)
		}
		if err := f.KillOff(t.Context(), c.d, c.value, act); !errors.Is(err, ErrNotFound) {
			t.Errorf("cleared twice: %v", err)
		}
	}
	for i, ev := range f.trail.events {
		if want := []audit.Type{audit.KillSwitchActivated, audit.KillSwitchActivated, audit.KillSwitchDeactivated}[i%3]; ev.Type != want || ev.ActorID != "dora" || f.trail.tenants[i] != "default" {
			t.Errorf("event %d: %v by %s in %s", i, ev.Type, ev.ActorID, f.trail.tenants[i])
		}
	}
	for _, bad := range []struct {
		d     Dimension
		value string
		act   Act
	}{{"planet", "x", act}, {DimensionTenant, "", act}, {DimensionTenant, " x", act}, {DimensionTenant, "x", Act{Actor: "dora"}}, {DimensionTenant, "x", Act{Reason: "r"}}} {
		if _, err := f.KillOn(t.Context(), bad.d, bad.value, bad.act); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestRefreshFailsClosed(t *testing.T) {
	f := newFixture(t)
	f.activate(t, scan())
	in := goodInput()
	in.At = f.clock.Now()
	if !f.gate.Decide(in).Close {
		t.Fatal("the pattern does not close")
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.clock.move(MaxSwitchAge + time.Second)
	if err := f.Refresh(context.Background(), f.gate.Patterns, f.gate.Switches); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	in.At = f.clock.Now()
	if d := f.gate.Decide(in); d.Close {
		t.Errorf("%+v", d)
	}
}

func TestDamagedRowsAreLeftOut(t *testing.T) {
	f := newFixture(t)
	p := f.activate(t, scan())
	f.update(t, func(tx store.Tx) error {
		if err := touch(tx); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE fp_patterns SET definition = '{"name":"Weekly scan","tenant":"other"}' WHERE pattern_id = $1`, p.ID)
		return err
	})
	if err := f.Refresh(t.Context(), f.gate.Patterns, f.gate.Switches); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
	if f.gate.Patterns.Len() != 0 {
		t.Error("a damaged pattern is in force")
	}
}

// TestSchemaHoldsTheRules writes around the code: the tables themselves refuse.
func TestSchemaHoldsTheRules(t *testing.T) {
	f := newFixture(t)
	p := f.propose(t, scan(), "ann")
	for _, set := range []string{
		`status = 'active'`, `status = 'closed'`, `approved_by_1 = 'ann'`, `approved_by_1 = 'bob', approved_by_2 = 'bob'`, `approved_by_2 = 'ann'`,
	} {
		err := f.db.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(`UPDATE fp_patterns SET ` + set + ` WHERE pattern_id = '` + p.ID + `'`)
			return err
		})
		if !errors.Is(err, store.ErrConstraint) {
			t.Errorf("%s: %v", set, err)
		}
	}
}
