package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// The roles under which transactions run. Neither can log in, owns a table or bypasses row
// security; a login is a member of one or both.
const (
	roleApp    = "aluskort_app"    // sees and writes the rows of the tenant in settingTenant
	roleSystem = "aluskort_system" // sees and writes the rows of all tenants

	settingTenant = "aluskort.tenant"
)

// roles says what the login of this DB may become.
type roles struct{ system bool }

// set returns what follows BEGIN: the role of the transaction and the tenant that it is for. A
// login that may not become roleSystem works without a tenant as roleApp, which sees nothing.
func (r roles) set(ctx context.Context) string {
	tenant, bound := store.TenantOf(ctx)
	switch {
	case bound:
		return `; SET LOCAL ROLE ` + roleApp + `; SET LOCAL ` + settingTenant + ` = ` + literal(tenant)
	case r.system:
		return `; SET LOCAL ROLE ` + roleSystem
	default:
		return `; SET LOCAL ROLE ` + roleApp
	}
}

// literal quotes s for SQL; the server's standard_conforming_strings is on.
func literal(s string) string {
	return `'` + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), `'`, `''`) + `'`
}

// ensureRoles creates the roles and lets this login become them. Roles belong to the whole
// server: another database may create them at the same time.
func ensureRoles(ctx context.Context, c *pgx.Conn) error {
	const script = `DO $$
DECLARE
	r TEXT;
BEGIN
	FOREACH r IN ARRAY ARRAY['` + roleApp + `', '` + roleSystem + `'] LOOP
		IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN
			BEGIN
				EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', r);
			EXCEPTION WHEN duplicate_object OR unique_violation THEN
				NULL;
			END;
		END IF;
		IF NOT pg_has_role(current_user, r, 'MEMBER') THEN
			EXECUTE format('GRANT %I TO CURRENT_USER', r);
		END IF;
	END LOOP;
END $$`
	missing, err := rolesMissing(ctx, c)
	if err != nil || !missing {
		return err
	}
	if _, err := c.Exec(ctx, script); err != nil {
		return fmt.Errorf("%w (as a superuser: CREATE ROLE %s; CREATE ROLE %s; GRANT %s, %s TO the login of this program)",
			classify("create roles", err), roleApp, roleSystem, roleApp, roleSystem)
	}
	return nil
}

// rolesMissing tells whether there is something to create or to grant. A login that is meant
// for one tenant at a time has no system role, and needs none: it finds a schema that another
// login has made.
func rolesMissing(ctx context.Context, c *pgx.Conn) (missing bool, err error) {
	const look = `SELECT COUNT(*) < 2 OR NOT COALESCE(BOOL_OR(rolname = $1 AND pg_has_role(current_user, oid, 'MEMBER')), false)
FROM pg_roles WHERE rolname IN ($1, $2)`
	err = c.QueryRow(ctx, look, roleApp, roleSystem).Scan(&missing)
	return missing, classify("look at roles", err)
}

// readRoles finds out what the login may become, and refuses roles that could see past row
// security.
func (db *DB) readRoles(ctx context.Context, c *pgx.Conn) error {
	const look = `SELECT BOOL_OR(rolname = $2 AND pg_has_role(current_user, oid, 'MEMBER')), BOOL_OR(rolsuper OR rolbypassrls)
FROM pg_roles WHERE rolname IN ($1, $2)`
	var system, bypass *bool
	if err := c.QueryRow(ctx, look, roleApp, roleSystem).Scan(&system, &bypass); err != nil {
		return classify("look at roles", err)
	}
	if bypass != nil && *bypass {
		return fmt.Errorf("%w: %s or %s may bypass row security; ALTER ROLE … NOSUPERUSER NOBYPASSRLS", store.ErrUnavailable, roleApp, roleSystem)
	}
	db.roles = roles{system: system != nil && *system}
	return nil
}
