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

var tenantTables = []string{"investigation", "doc", "alert", "redaction_map", "outbox"}

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
	for _, q := range []string{`UPDATE redaction_map SET body = body WHERE tenant = 'globex'`, `DELETE FROM outbox WHERE tenant = 'globex'`, `DELETE FROM investigation WHERE id = 'inv-globex'`} {
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
	for _, q := range []string{`SELECT COUNT(*) FROM link`, `SELECT COUNT(*) FROM alert_identity`, `SELECT COUNT(*) FROM prior_snapshot`} {
		var n int
		if err := db.View(acme, func(tx store.Tx) error { return tx.QueryRow(q).Scan(&n) }); err == nil && n != 0 || err != nil && !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %d, %v; want no access", q, n, err)
		}
	}
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
