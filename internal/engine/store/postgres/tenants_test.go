package postgres

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
)

// shipped opens a database with the schema that ships.
func shipped(t *testing.T) *DB {
	t.Helper()
	cfg := config(t, schemaOf(t), schema.FS)
	cfg.MigrationsDir = schema.PostgresDir
	return mustOpen(t, cfg)
}

const insertInvestigation = `INSERT INTO investigation (id, tenant, state, wait_reason, classification, severity, probability,
alerts, redelivered, version, first_alert, last_alert, doc, created_at, updated_at)
VALUES ($1, $2, 'closed', '', '', 0, 0, 1, 0, 1, $3, $3, $3, 0, 0)`

// seed writes rows of two tenants as system work does.
func seed(t *testing.T, db *DB) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for i, tenant := range []string{"acme", "globex"} {
			for _, q := range []struct {
				text string
				args []any
			}{
				{insertInvestigation, []any{"inv-" + tenant, tenant, i}},
				{`INSERT INTO doc (id, codec, bytes) VALUES ($1, 0, $2)`, []any{i, []byte("document of " + tenant)}},
				{`INSERT INTO alert (seq, investigation, event_time, doc) VALUES ($1, $2, 0, $1)`, []any{i, "inv-" + tenant}},
				{`INSERT INTO redaction_map (tenant, investigation, body, updated_at) VALUES ($1, $2, $3, 0)`, []any{tenant, "inv-" + tenant, []byte("x")}},
				{`INSERT INTO outbox (topic, tenant, payload, created_at) VALUES ('t', $1, $2, 0)`, []any{tenant, []byte("x")}},
				{insertJudgement, []any{tenant}},
				{insertJob, []any{"inv-" + tenant, tenant}},
				{insertIndicator, []any{tenant}},
				{`INSERT INTO threat_intel_imports (tenant_id, feed, format, accepted, refused, skipped, imported_at) VALUES ($1, 'f', 'csv', 1, 0, 0, 0)`, []any{tenant}},
				{insertIncident, []any{tenant}},
				{`INSERT INTO incident_word (tenant, word, incident) VALUES ($1, 1, $2)`, []any{tenant, i}},
				{`INSERT INTO spend_call (owner, state, tenant, investigation, task, tier, provider, model, terms, month, hour, reserved_at, lease_until, reserved_micro, reserved_tokens)
VALUES ('o', 'open', $1, '', 't', 't1', 'p', 'm', 0, 0, 0, 0, 0, 1, 1)`, []any{tenant}},
				{insertSum, []any{tenant}},
				{`INSERT INTO spend_total (month, tenant, tier, provider, model, task, basis, calls, cost_micro, tokens, input_tokens, output_tokens, cache_read, cache_write)
VALUES (0, $1, 't1', 'p', 'm', 't', 'measured', 1, 1, 1, 1, 1, 0, 0)`, []any{tenant}},
				{`INSERT INTO audit_sequence (tenant, last_seq) VALUES ($1, 1)`, []any{tenant}},
			} {
				if _, err := tx.Exec(q.text, q.args...); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

const (
	insertJudgement = `INSERT INTO judgement (tenant, source, analytic, severity, actor, malicious, judged_at) VALUES ($1, 's', 'a', 1, 'ada', 1, 0)`
	insertJob       = `INSERT INTO model_job (investigation, tenant, priority, queued_at, input, attempts, wake_at) VALUES ($1, $2, 0, 0, '', 0, 0)`
	insertIndicator = `INSERT INTO threat_intel_iocs (tenant_id, indicator_type, indicator_value, confidence, severity, associated_campaigns, associated_groups,
mitre_techniques, sources, context, expiry, tags, created_at, updated_at) VALUES ($1, 'domain', 'evil.example', 90, 3, '[]', '[]', '[]', '[]', '', 1, '[]', 0, 0)`
	insertIncident = `INSERT INTO incident_memory (tenant, investigation, person, decided_by, decided_at, body, model, revision, gone) VALUES ($1, 'inv', 1, 'ada', 0, '{}', '', 1, 0)`
	insertSum      = `INSERT INTO spend_sum (scope, tenant, subject, period, calls, booked_micro, booked_tokens, reserved_micro, reserved_tokens) VALUES ('tenant_month', $1, '', 0, 1, 1, 1, 0, 0)`
)

var tenantTables = []string{
	"investigation", "doc", "alert", "redaction_map", "outbox", "judgement", "model_job", "threat_intel_iocs", "threat_intel_imports",
	"incident_memory", "incident_word", "spend_call", "spend_sum", "spend_total", "audit_sequence",
}

// A transaction for one tenant reads, changes and deletes nothing of another, whatever its SQL
// says, and writes nothing in another's name.
func TestTenantsAreIsolatedBelowTheSQL(t *testing.T) {
	db := shipped(t)
	seed(t, db)
	acme := store.ForTenant(t.Context(), "acme")
	for _, table := range tenantTables {
		for name, want := range map[string]int64{"acme": 1, "globex": 1, "stranger": 0, "": 0, "acme' OR true --": 0} {
			var n int64
			err := db.View(store.ForTenant(t.Context(), name), func(tx store.Tx) error {
				return tx.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n)
			})
			if err != nil || n != want {
				t.Errorf("%q sees %d rows of %s, want %d (%v)", name, n, table, want, err)
			}
		}
		var n int64
		if err := db.View(t.Context(), func(tx store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n) }); err != nil || n != 2 {
			t.Errorf("system work sees %d rows of %s, want 2 (%v)", n, table, err)
		}
	}
	var text []byte
	if err := db.View(acme, func(tx store.Tx) error { return tx.QueryRow(`SELECT bytes FROM doc`).Scan(&text) }); err != nil || string(text) != "document of acme" {
		t.Errorf("acme reads %q, %v", text, err)
	}
	for _, q := range []string{`UPDATE redaction_map SET body = body WHERE tenant = 'globex'`, `DELETE FROM outbox WHERE tenant = 'globex'`, `DELETE FROM investigation WHERE id = 'inv-globex'`,
		`UPDATE model_job SET attempts = 9 WHERE tenant = 'globex'`, `DELETE FROM threat_intel_iocs WHERE tenant_id = 'globex'`,
		`UPDATE incident_memory SET gone = 1 WHERE tenant = 'globex'`, `DELETE FROM incident_word WHERE tenant = 'globex'`,
		`UPDATE spend_call SET cost_micro = 9 WHERE tenant = 'globex'`, `UPDATE audit_sequence SET last_seq = 0 WHERE tenant = 'globex'`} {
		var n int64
		err := db.Update(acme, func(tx store.Tx) (err error) { n, err = tx.Exec(q); return err })
		if err != nil || n != 0 {
			t.Errorf("%s changed %d rows (%v)", q, n, err)
		}
	}
	for q, args := range map[string][]any{
		`INSERT INTO redaction_map (tenant, investigation, body, updated_at) VALUES ('globex', $1, $2, 0)`: {"inv-2", []byte("forged")},
		`UPDATE redaction_map SET tenant = $1`: {"globex"},
		insertInvestigation:                    {"inv-2", "globex", 7},
		`INSERT INTO alert (seq, investigation, event_time, doc) VALUES (9, $1, 0, 0)`: {"inv-globex"},
		insertJudgement: {"globex"}, insertJob: {"inv-2", "globex"}, insertIncident: {"globex"}, insertIndicator: {"*"},
		`UPDATE threat_intel_iocs SET tenant_id = $1`: {"*"},
	} {
		err := db.Update(acme, func(tx store.Tx) error { _, err := tx.Exec(q, args...); return err })
		if !errors.Is(err, store.ErrConstraint) {
			t.Errorf("%s: %v, want a refusal by row security", q, err)
		}
	}
	err := db.Update(acme, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO redaction_map (tenant, investigation, body, updated_at) VALUES ($1, $2, $3, 0)`, "acme", "inv-2", []byte("own"))
		return err
	})
	if err != nil {
		t.Errorf("acme cannot write its own row: %v", err)
	}
	for _, table := range []string{"link", "tally", "risk", "alert_identity", "prior_snapshot", "consumer_offset", "reload_request", "cache_secret"} {
		denied(t, db, `SELECT COUNT(*) FROM `+table)
	}
}

// denied runs a query for one tenant, who has no right to it.
func denied(t *testing.T, db *DB, query string, args ...any) {
	t.Helper()
	err := db.Update(store.ForTenant(t.Context(), "acme"), func(tx store.Tx) error { _, err := tx.Exec(query, args...); return err })
	if err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("%s: %v; want no access", query, err)
	}
}

// What concerns the tenants together is read by a transaction of one at most, and a document can be
// added by it, since a decision writes its investigation anew, and neither changed nor seen.
func TestTenantWritesNothingOfTheWhole(t *testing.T) {
	db := shipped(t)
	seed(t, db)
	denied(t, db, insertSum, "acme")
	denied(t, db, `UPDATE spend_total SET cost_micro = 0`)
	denied(t, db, `INSERT INTO fp_kill_switch (dimension, value, activated_by, reason, activated_at) VALUES ('tenant', 'acme', 'eve', 'x', 0)`)
	denied(t, db, `UPDATE doc SET bytes = $1`, []byte("forged"))
	denied(t, db, `DELETE FROM doc`)
	var n int
	err := db.Update(store.ForTenant(t.Context(), "acme"), func(tx store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO doc (id, codec, bytes) VALUES (9, 0, $1)`, []byte("new")); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT COUNT(*) FROM doc`).Scan(&n)
	})
	if err != nil || n != 1 {
		t.Errorf("a new document: %d are seen, %v", n, err)
	}
}

// A table whose migration forgot its policy is closed to the work of tenants, not open to it.
func TestForgottenPolicyIsClosed(t *testing.T) {
	db := shipped(t)
	if _, err := administrator(t).Exec(t.Context(), `CREATE TABLE `+db.Schema()+`.forgotten (tenant TEXT)`); err != nil {
		t.Fatal(err)
	}
	denied(t, db, `SELECT COUNT(*) FROM forgotten`)
	denied(t, db, `INSERT INTO forgotten VALUES ('acme')`)
}

// The tenant of a transaction ends with it, also on a connection that is used again.
func TestTenantDoesNotOutliveItsTransaction(t *testing.T) {
	cfg := config(t, schemaOf(t), schema.FS)
	cfg.MigrationsDir, cfg.MaxConns, cfg.MinConns = schema.PostgresDir, leastMaxConns, 1
	db := mustOpen(t, cfg)
	seed(t, db)
	for range 20 {
		for tenant, want := range map[string]int{"acme": 1, "nobody": 0} {
			var n int
			if err := db.View(store.ForTenant(t.Context(), tenant), func(tx store.Tx) error {
				return tx.QueryRow(`SELECT COUNT(*) FROM investigation`).Scan(&n)
			}); err != nil || n != want {
				t.Fatalf("%s sees %d (%v)", tenant, n, err)
			}
		}
		var role, tenant string
		if err := db.View(t.Context(), func(tx store.Tx) error {
			return tx.QueryRow(`SELECT current_user, COALESCE(current_setting('aluskort.tenant', true), '')`).Scan(&role, &tenant)
		}); err != nil || role != roleSystem || tenant != "" {
			t.Fatalf("system work runs as %s for %q (%v)", role, tenant, err)
		}
	}
}

// A login that is a member of aluskort_app alone has no way around the tenant: it works for the
// tenants that it names, and without one it sees nothing.
func TestLoginWithoutTheSystemRole(t *testing.T) {
	db := shipped(t)
	seed(t, db)
	root := administrator(t)
	login := "login_" + db.Schema()
	for _, q := range []string{
		`DROP ROLE IF EXISTS ` + login,
		`CREATE ROLE ` + login + ` LOGIN PASSWORD 'only-for-this-test' NOBYPASSRLS IN ROLE ` + roleApp,
	} {
		if _, err := root.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := root.Exec(context.Background(), `DROP ROLE `+login); err != nil {
			t.Error(err)
		}
	})
	cfg := config(t, db.Schema(), schema.FS)
	cfg.MigrationsDir = schema.PostgresDir
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(login, "only-for-this-test")
	cfg.URL = u.String()
	limited := mustOpen(t, cfg)
	if limited.Origin() != db.Origin() {
		t.Error("another origin")
	}
	count := func(tenant string) (n int) {
		ctx := t.Context()
		if tenant != "" {
			ctx = store.ForTenant(ctx, tenant)
		}
		if err := limited.View(ctx, func(tx store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM investigation`).Scan(&n) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count("acme"); n != 1 {
		t.Errorf("sees %d rows of its tenant", n)
	}
	if n := count(""); n != 0 {
		t.Errorf("sees %d rows without a tenant", n)
	}
	for _, q := range []string{`SET ROLE ` + roleSystem, `ALTER TABLE investigation DISABLE ROW LEVEL SECURITY`} {
		if err := limited.Update(store.ForTenant(t.Context(), "acme"), func(tx store.Tx) error { _, err := tx.Exec(q); return err }); err == nil {
			t.Errorf("%s succeeded", q)
		}
	}
	var n int
	err = limited.Update(store.ForTenant(t.Context(), "acme"), func(tx store.Tx) error {
		if _, err := tx.Exec(`RESET ROLE`); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT COUNT(*) FROM investigation`).Scan(&n)
	})
	if err != nil || n != 1 {
		t.Errorf("as itself the login sees %d rows, want those of the tenant (%v)", n, err)
	}
}

// Every table is guarded: a migration that forgets row_security fails here.
func TestEveryTableHasRowSecurity(t *testing.T) {
	db := shipped(t)
	rows, err := administrator(t).Query(t.Context(), `SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace = to_regnamespace($1) AND relname NOT IN ('meta', 'schema_version')`, db.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	tables := 0
	for rows.Next() {
		var name string
		var guarded bool
		if err := rows.Scan(&name, &guarded); err != nil {
			t.Fatal(err)
		}
		if tables++; !guarded {
			t.Errorf("%s: its migration does not call row_security", name)
		}
	}
	if err := rows.Err(); err != nil || tables < 20 {
		t.Errorf("%d tables, %v", tables, err)
	}
}
