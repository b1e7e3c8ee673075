package auditlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
)

func TestAppendChainsAndAnnounces(t *testing.T) {
	s := newService(t, openAudit(t, ""))
	ctx := t.Context()
	var rec recorder
	cancel := s.OnAppended(rec.note)
	if _, err := s.Head(ctx, "acme"); !errors.Is(err, ErrNoTenant) {
		t.Errorf("head before the first event: %v", err)
	}
	err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 1, 3), messageOf(t, "b", "acme", 1, 1), messageOf(t, "a", "globex", 1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(contents(t, s, "acme")); got != "[system.genesis a/1 a/2 a/3 b/1]" {
		t.Errorf("acme has %s", got)
	}
	if got := fmt.Sprint(contents(t, s, "globex")); got != "[system.genesis a/1 a/2]" {
		t.Errorf("globex has %s", got)
	}
	head, err := s.Head(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if want := (Appended{"acme", "a", 3, head}); len(rec.got) != 3 || rec.got[0] != want {
		t.Errorf("announced %v, first should be %v", rec.got, want)
	}
	cancel()
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 4, 4)}); err != nil {
		t.Fatal(err)
	}
	if len(rec.got) != 3 {
		t.Error("announced after the registration had ended")
	}
	tenants, err := s.Tenants(ctx)
	if err != nil || fmt.Sprint(tenants) != "[acme globex]" {
		t.Errorf("tenants %v, %v", tenants, err)
	}
	mustVerify(t, s, "acme")
	mustVerify(t, s, "globex")
}

func TestRedeliveryAndOverlap(t *testing.T) {
	s := newService(t, openAudit(t, ""))
	ctx := t.Context()
	var rec recorder
	s.OnAppended(rec.note)
	for _, r := range [][2]int64{{1, 4}, {1, 4}, {2, 3}, {3, 6}, {5, 7}} {
		if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", r[0], r[1])}); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(contents(t, s, "acme")); got != "[system.genesis a/1 a/2 a/3 a/4 a/5 a/6 a/7]" {
		t.Errorf("chain %s", got)
	}
	if len(rec.got) != 5 || rec.got[1].Seq != 4 || rec.got[4].Seq != 7 {
		t.Errorf("announced %v; a redelivery is announced too", rec.got)
	}
	if n, err := s.OriginSequence(ctx, "acme", "a"); n != 7 || err != nil {
		t.Errorf("origin is at %d, %v", n, err)
	}
}

func TestGapStopsTheOriginAndNobodyElse(t *testing.T) {
	var alarms []error
	s, err := New(Config{DB: openAudit(t, ""), Clock: testClock, OnAlarm: func(err error) { alarms = append(alarms, err) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	err = s.Append(ctx, [][]byte{
		messageOf(t, "a", "acme", 1, 2), messageOf(t, "a", "acme", 5, 6), messageOf(t, "a", "acme", 7, 7), messageOf(t, "b", "acme", 1, 1),
	})
	var refused *AppendError
	var gap *OriginGapError
	if !errors.Is(err, ErrOriginGap) || !errors.As(err, &refused) || !errors.As(err, &gap) {
		t.Fatalf("error %v", err)
	}
	if len(refused.Refused) != 2 || refused.Refused[0].Message != 1 || refused.Refused[1].Message != 2 || len(alarms) != 2 {
		t.Errorf("refused %v, alarms %v", refused.Refused, alarms)
	}
	if *gap != (OriginGapError{"a", "acme", 2, 5}) {
		t.Errorf("gap %+v", *gap)
	}
	if got := fmt.Sprint(contents(t, s, "acme")); got != "[system.genesis a/1 a/2 b/1]" {
		t.Errorf("chain %s", got)
	}
	// What was missing arrives: the origin goes on.
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 3, 4), messageOf(t, "a", "acme", 5, 6)}); err != nil {
		t.Fatal(err)
	}
	// What is lost is given up by a person.
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 9, 9)}); !errors.Is(err, ErrOriginGap) {
		t.Fatal(err)
	}
	if err := s.ReanchorOrigin(ctx, "acme", "a", 8, "", ""); err == nil {
		t.Error("reanchored without operator and reason")
	}
	if err := s.ReanchorOrigin(ctx, "acme", "a", 8, "r.meyer@example.com", "disk of node 2 lost"); err != nil {
		t.Fatal(err)
	}
	if err := s.ReanchorOrigin(ctx, "acme", "a", 8, "r.meyer@example.com", "again"); err == nil {
		t.Error("reanchored backwards")
	}
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 9, 9)}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(contents(t, s, "acme")); got != "[system.genesis a/1 a/2 b/1 a/3 a/4 a/5 a/6 audit.reanchored a/9]" {
		t.Errorf("chain %s", got)
	}
	mustVerify(t, s, "acme")
}

func TestUndecodableIsRecordedAndKept(t *testing.T) {
	var kept []string
	s, err := New(Config{
		DB: openAudit(t, ""), Clock: testClock, RejectedTenant: "ops",
		StoreRejected: func(_ context.Context, tenant, sha string, content []byte) (string, error) {
			if fmt.Sprintf("%x", sha256.Sum256(content)) != sha {
				t.Error("SHA-256 is not of the bytes")
			}
			kept = append(kept, tenant)
			if len(kept) == 1 {
				return "object-1", nil
			}
			return "", errors.New("object store is down")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	good := event(t, "a", 2)
	wire, err := good.AppendWire(nil)
	if err != nil {
		t.Fatal(err)
	}
	garbage := []byte("\x00garbage\xff")
	msgs := [][]byte{
		messageWith("a", "acme", 1, 3, []byte("broken event"), wire, []byte("broken event")), // two events of three
		messageWith("a", "acme", 4, 9, wire),                                                 // cut short behind a good header
		messageOf(t, "a", "acme", 10, 10),
		garbage, garbage,
	}
	for range 2 { // all of it is delivered twice
		if err := s.Append(ctx, msgs); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(contents(t, s, "acme")); got != "[system.genesis audit.rejected a/2 audit.rejected audit.rejected a/10]" {
		t.Errorf("chain %s", got)
	}
	if got := fmt.Sprint(contents(t, s, "ops")); got != "[system.genesis audit.rejected]" {
		t.Errorf("chain of orphans %s", got)
	}
	r, err := s.Record(ctx, "acme", 1)
	if err != nil {
		t.Fatal(err)
	}
	f, err := audit.ParseRecord(r.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("broken event"))
	for _, want := range []string{fmt.Sprintf(`"sha256":"%x"`, sum), `"object_id":"object-1"`, `"origin":"a"`, `"first_sequence":1`} {
		if !strings.Contains(f.Context, want) {
			t.Errorf("record lacks %s: %s", want, f.Context)
		}
	}
	err = s.cfg.DB.View(ctx, func(tx store.Tx) error {
		var content []byte
		if err := tx.QueryRow(`SELECT bytes FROM audit_rejected WHERE sha256 = $1`, fmt.Sprintf("%x", sha256.Sum256(garbage))).Scan(&content); err != nil {
			return err
		}
		if !bytes.Equal(content, garbage) {
			t.Errorf("kept %q", content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mustVerify(t, s, "acme")
	mustVerify(t, s, "ops")
}

// TestExactlyOnceInAnyDelivery: two origins, two tenants; messages cut anyhow, delivered in
// batches in the order of their origin, repeated from any earlier point, refused and delivered
// again. Each event ends up once, in order, in a chain without gap.
func TestExactlyOnceInAnyDelivery(t *testing.T) {
	type stream struct {
		origin, tenant string
		msgs           [][]byte
		next           int
		count          int64
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := newService(t, openAudit(t, ""))
		var rec recorder
		s.OnAppended(rec.note)
		streams := []*stream{{origin: "a", tenant: "acme"}, {origin: "b", tenant: "acme"}, {origin: "a", tenant: "globex"}}
		for _, st := range streams {
			for range rapid.IntRange(1, 6).Draw(rt, "messages") {
				n := rapid.Int64Range(1, 4).Draw(rt, "events")
				st.msgs = append(st.msgs, messageOf(t, st.origin, st.tenant, st.count+1, st.count+n))
				st.count += n
			}
		}
		for {
			open := slices.DeleteFunc(slices.Clone(streams), func(st *stream) bool { return st.next == len(st.msgs) })
			if len(open) == 0 {
				break
			}
			var batch [][]byte
			for range rapid.IntRange(1, 6).Draw(rt, "batch") {
				st := rapid.SampledFrom(streams).Draw(rt, "stream")
				switch rapid.IntRange(0, 5).Draw(rt, "fault") {
				case 0: // redelivered from an earlier point
					st.next = rapid.IntRange(0, st.next).Draw(rt, "back")
				case 1: // one is skipped, so what follows is refused; it comes again later
					if st.next+1 < len(st.msgs) {
						batch = append(batch, st.msgs[st.next+1])
					}
					continue
				}
				if st.next < len(st.msgs) {
					batch = append(batch, st.msgs[st.next])
					st.next++
				}
			}
			if err := s.Append(t.Context(), batch); err != nil && !errors.Is(err, ErrOriginGap) {
				rt.Fatal(err)
			}
		}
		got := map[string][]string{"acme": contents(t, s, "acme"), "globex": contents(t, s, "globex")}
		for _, st := range streams {
			var want, have []string
			for n := int64(1); n <= st.count; n++ {
				want = append(want, fmt.Sprintf("%s/%d", st.origin, n))
			}
			for _, id := range got[st.tenant] {
				if strings.HasPrefix(id, st.origin+"/") {
					have = append(have, id)
				}
			}
			if !slices.Equal(want, have) {
				rt.Fatalf("origin %s in %s: %v, want %v", st.origin, st.tenant, have, want)
			}
			if rec.last(st.origin, st.tenant) != st.count {
				rt.Fatalf("origin %s in %s: %d was announced last, want %d", st.origin, st.tenant, rec.last(st.origin, st.tenant), st.count)
			}
		}
		mustVerify(t, s, "acme")
		mustVerify(t, s, "globex")
	})
}

// TestA9TwoWritersOneChain: two Services, each with a handle of its own on one file, 16
// goroutines that also deliver each other's messages again.
func TestA9TwoWritersOneChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	services := []*Service{newService(t, openAudit(t, path)), newService(t, openAudit(t, path))}
	const writers, rounds, per = 16, 12, 5
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			origin := fmt.Sprintf("w%02d", w)
			for i := range int64(rounds) {
				msg := messageOf(t, origin, "acme", i*per+1, i*per+per)
				for _, s := range []*Service{services[w%2], services[(w+int(i))%2]} {
					if err := s.Append(t.Context(), [][]byte{msg}); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for _, s := range services {
		if report := mustVerify(t, s, "acme"); report.Records != writers*rounds*per+1 {
			t.Errorf("%d records, want %d", report.Records, writers*rounds*per+1)
		}
	}
}

// TestA9StaleHeadIsRefused: a writer that read the head before another one appended does not
// get its records in beside them.
func TestA9StaleHeadIsRefused(t *testing.T) {
	s := newService(t, openAudit(t, ""))
	ctx := t.Context()
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 1, 1)}); err != nil {
		t.Fatal(err)
	}
	var stale *appending
	seal := func(tx store.Tx) {
		stale = newAppending(s, tx)
		c, err := stale.chain("acme")
		if err != nil {
			t.Fatal(err)
		}
		view, err := reanchorView(1, "a", 1, 2, "operator", "reason")
		if err != nil {
			t.Fatal(err)
		}
		if err := stale.seal(c, &view); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.cfg.DB.View(ctx, func(tx store.Tx) error { seal(tx); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, [][]byte{messageOf(t, "b", "acme", 1, 1)}); err != nil {
		t.Fatal(err)
	}
	err := s.cfg.DB.Update(ctx, func(tx store.Tx) error {
		stale.tx = tx
		return stale.write()
	})
	if !errors.Is(err, errHeadMoved) {
		t.Errorf("stale writer: %v", err)
	}
	// The service itself tries again from the new head.
	moved, again := false, false
	_, err = s.commit(ctx, func(*appending) error {
		if !moved {
			moved = true
			return errHeadMoved
		}
		again = true
		return nil
	})
	if err != nil || !again {
		t.Errorf("tried again: %v, %v", again, err)
	}
	if _, err := s.commit(ctx, func(*appending) error { return errHeadMoved }); !errors.Is(err, ErrContended) {
		t.Errorf("always contended: %v", err)
	}
	mustVerify(t, s, "acme")
}

func TestRecordsRefuseUpdateDeleteAndReplace(t *testing.T) {
	s := newService(t, openAudit(t, ""))
	ctx := t.Context()
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 1, 3)}); err != nil {
		t.Fatal(err)
	}
	refused := map[string]error{
		`UPDATE audit_record SET recorded_at = 0 WHERE id & 1099511627775 = 2`: store.ErrImmutable,
		`UPDATE audit_record SET bytes = hash`:                                 store.ErrImmutable,
		`DELETE FROM audit_record`:                                             store.ErrImmutable,
		`DELETE FROM audit_record WHERE id & 1099511627775 = 3`:                store.ErrImmutable,
	}
	const again = `INSERT INTO audit_record SELECT id, recorded_at, hash, hash FROM audit_record WHERE id & 1099511627775 = 3`
	if dbtest.Dialect() == store.SQLite {
		refused[again] = store.ErrImmutable
		refused[`INSERT OR REPLACE INTO audit_record SELECT id, 0, x'00', hash FROM audit_record LIMIT 1`] = store.ErrImmutable
		refused[`INSERT INTO audit_record SELECT * FROM audit_record WHERE true ON CONFLICT (id) DO UPDATE SET bytes = x'00'`] = store.ErrImmutable
	} else {
		refused[again] = store.ErrConstraint
	}
	for query, want := range refused {
		err := s.cfg.DB.Update(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(query)
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", query, err)
		}
	}
	mustVerify(t, s, "acme")
}

// tamper changes the database as an intruder with the file, or a superuser of the server, would.
func tamper(t *testing.T, db store.DB, queries ...string) {
	t.Helper()
	postgres := strings.NewReplacer("zeroblob(32)", `decode(repeat('00', 32), 'hex')`,
		"replace(bytes, 'suspicious', 'benign')", `convert_to(replace(convert_from(bytes, 'UTF8'), 'suspicious', 'benign'), 'UTF8')`)
	for i, q := range queries {
		if db.Dialect() == store.Postgres {
			queries[i] = postgres.Replace(q)
		}
	}
	dbtest.Tamper(t, db, []string{"audit_record_no_update", "audit_record_no_delete"}, queries...)
}

func TestVerifyFindsTampering(t *testing.T) {
	const seq = `id & 1099511627775`
	tests := []struct {
		name    string
		query   string
		want    audit.Kind
		first   int64
		broken  bool // a new writer refuses to continue
		trusted bool // found only by the head that the caller brings
	}{
		{"A7 content", `UPDATE audit_record SET bytes = replace(bytes, 'suspicious', 'benign') WHERE ` + seq + ` = 4`, audit.KindContentChanged, 4, false, false},
		{"A7 stored hash", `UPDATE audit_record SET hash = zeroblob(32) WHERE ` + seq + ` = 4`, audit.KindHashChanged, 4, false, false},
		{"A8 deleted", `DELETE FROM audit_record WHERE ` + seq + ` IN (4, 5)`, audit.KindGap, 4, false, false},
		{"A8 tail cut", `DELETE FROM audit_record WHERE ` + seq + ` > 6`, audit.KindTruncated, 7, true, false},
		{"head changed", `UPDATE audit_head SET hash = zeroblob(32)`, audit.KindReplaced, 8, true, false},
		{"A8 tail and head cut", `DELETE FROM audit_record WHERE ` + seq + ` > 6;`, audit.KindTruncated, 7, true, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			db := openAudit(t, "")
			s := newService(t, db)
			ctx := t.Context()
			if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 1, 8)}); err != nil {
				t.Fatal(err)
			}
			trusted, err := s.Head(ctx, "acme")
			if err != nil {
				t.Fatal(err)
			}
			if tc.trusted {
				tamper(t, db, tc.query, `UPDATE audit_head SET sequence = 6, hash = (SELECT hash FROM audit_record WHERE `+seq+` = 6)`)
			} else {
				tamper(t, db, tc.query)
			}
			report, err := s.Verify(ctx, "acme", trusted)
			if err != nil {
				t.Fatal(err)
			}
			if report.OK() || report.FirstBad != tc.first || report.Counts[tc.want] == 0 {
				t.Errorf("found %v, want %s at %d", report.Findings, tc.want, tc.first)
			}
			if untrusting, err := s.Verify(ctx, "acme"); err != nil || untrusting.OK() != tc.trusted {
				t.Errorf("without a trusted head: %v, %v", untrusting.Findings, err)
			}
			err = newService(t, db).Append(ctx, [][]byte{messageOf(t, "a", "acme", 9, 9)})
			if errors.Is(err, ErrChainBroken) != tc.broken || !tc.broken && err != nil {
				t.Errorf("append after tampering: %v", err)
			}
		})
	}
}

func TestVerifyTail(t *testing.T) {
	db := openAudit(t, "")
	s := newService(t, db)
	ctx := t.Context()
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 1, 20)}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{1, 5, 21, 100} {
		if r, err := s.VerifyTail(ctx, "acme", n); err != nil || len(r.Findings) > 0 || r.Records != min(n, 21) {
			t.Errorf("last %d: %d records, %v, %v", n, r.Records, r.Findings, err)
		}
	}
	tamper(t, db, `UPDATE audit_record SET bytes = hash WHERE id & 1099511627775 = 10`)
	if r, err := s.VerifyTail(ctx, "acme", 5); err != nil || !r.OK() {
		t.Errorf("the tail is good: %v, %v", r.Findings, err)
	}
	if r, err := s.VerifyTail(ctx, "acme", 12); err != nil || r.FirstBad != 10 {
		t.Errorf("record 10 is bad: %v, %v", r.Findings, err)
	}
}

func TestInvestigationFindsItsRecords(t *testing.T) {
	s := newService(t, openAudit(t, ""))
	ctx := t.Context()
	var want []string
	next := int64(1)
	for range 30 {
		n := rand.Int64N(9) + 1
		for i := next; i < next+n; i++ {
			if i%5 == 3 {
				want = append(want, fmt.Sprintf("a/%d", i))
			}
		}
		if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", next, next+n-1), messageOf(t, "a", "globex", next, next+n-1)}); err != nil {
			t.Fatal(err)
		}
		next += n
	}
	var got []string
	err := s.Investigation(ctx, "acme", "inv-3", func(r audit.Record) error {
		f, err := audit.ParseRecord(r.Bytes)
		got = append(got, f.AlertID)
		return err
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("found %v, %v; want %v", got, err, want)
	}
	err = s.Investigation(ctx, "acme", "inv-99", func(audit.Record) error { return errors.New("there is none") })
	if err != nil {
		t.Error(err)
	}
	if err := s.Investigation(ctx, "nobody", "inv-3", nil); !errors.Is(err, ErrNoTenant) {
		t.Errorf("unknown tenant: %v", err)
	}
}

func TestInvestigationAcrossSlots(t *testing.T) {
	if slotOf(3, 1<<slotBits-1) == slotOf(3, 1<<slotBits) || slotOf(3, audit.MaxSequence) >= slotOf(4, 0) {
		t.Error("slots of tenants or of sequence ranges meet")
	}
	s := newService(t, openAudit(t, ""))
	ctx := t.Context()
	const n = 1<<slotBits + 100
	for next := int64(1); next <= n; next += 500 {
		if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", next, min(next+499, n))}); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	err := s.Investigation(ctx, "acme", "inv-0", func(audit.Record) error { count++; return nil })
	if err != nil || count != n/5 {
		t.Errorf("%d records, %v; want %d", count, err, n/5)
	}
}

func TestExportOfTheStore(t *testing.T) {
	db := openAudit(t, "")
	s := newService(t, db)
	ctx := t.Context()
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 1, 40)}); err != nil {
		t.Fatal(err)
	}
	head, err := s.Head(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{0, -1}, {10, 20}, {40, 99}} {
		var file bytes.Buffer
		if err := s.Export(ctx, "acme", &file, r[0], r[1]); err != nil {
			t.Fatal(err)
		}
		h, report, err := audit.VerifyExport(&file, &head)
		if err != nil || !report.OK() || h.Origin != db.Origin() || report.Records != h.To-h.From+1 {
			t.Errorf("%v: %+v, %v, %v", r, h, report.Findings, err)
		}
	}
	if err := s.Export(ctx, "acme", &bytes.Buffer{}, 41, -1); !errors.Is(err, ErrNoRecord) {
		t.Errorf("empty range: %v", err)
	}
}

func TestRecordByID(t *testing.T) {
	s := newService(t, openAudit(t, ""))
	ctx := t.Context()
	if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", 1, 4), messageOf(t, "a", "globex", 1, 4)}); err != nil {
		t.Fatal(err)
	}
	want, err := s.Record(ctx, "acme", 3)
	if err != nil {
		t.Fatal(err)
	}
	f, err := audit.ParseRecord(want.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.RecordByID(ctx, "acme", f.AuditID); err != nil || got.Hash != want.Hash {
		t.Errorf("record %d, %v", got.Sequence, err)
	}
	if _, err := s.RecordByID(ctx, "globex", f.AuditID); !errors.Is(err, ErrNoRecord) {
		t.Errorf("id of another tenant: %v", err)
	}
	if _, err := s.Record(ctx, "acme", 9); !errors.Is(err, ErrNoRecord) {
		t.Errorf("beyond the head: %v", err)
	}
}
