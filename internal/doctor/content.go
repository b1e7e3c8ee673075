package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
)

// Database checks one database. open opens it for reading; nil without an error means that it
// does not exist yet. mend is what to do when it cannot be opened.
func Database(name, mend string, open func(context.Context) (store.DB, error)) Check {
	return Check{name + " database", func(ctx context.Context) (out []Finding) {
		db, err := open(ctx)
		if err != nil {
			return fail(mend, "cannot be opened: %s", err)
		}
		if db == nil {
			return ok("does not exist yet")
		}
		defer func() {
			if err := db.Close(); err != nil {
				out = append(out, warn("", "does not close: %s", err)...)
			}
		}()
		wrong, err := quickCheck(ctx, db)
		if err != nil {
			return fail("see the disk's own log", "cannot be read: %s", err)
		}
		if len(wrong) > 0 {
			return fail("stop the server, keep a copy, restore from a backup", "is damaged: %s", strings.Join(wrong, "; "))
		}
		return ok("opens and is sound, %s", db.Dialect())
	}}
}

// maxWrong bounds the damages that are named.
const maxWrong = 5

// quickCheck asks SQLite whether its pages fit together; other engines look after themselves.
func quickCheck(ctx context.Context, db store.DB) (wrong []string, err error) {
	if db.Dialect() != store.SQLite {
		return nil, nil
	}
	err = db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`PRAGMA quick_check(5)`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return fmt.Errorf("%w (%w)", err, rows.Close())
			}
			if line != "ok" && len(wrong) < maxWrong {
				wrong = append(wrong, line)
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return rows.Close()
	})
	return wrong, err
}

// Investigations checks that none had to be set aside. aside counts them; false means that
// there is no database yet.
func Investigations(aside func(context.Context) (n int64, known bool, err error)) Check {
	return Check{"investigations", func(ctx context.Context) []Finding {
		n, known, err := aside(ctx)
		switch {
		case err != nil:
			return fail("see the state database above", "cannot be counted: %s", err)
		case !known:
			return ok("none yet")
		case n > 0:
			return warn("the log of the server and the audit trail say why; a new alert of the same fold takes one up again", "%d cannot be read or decided and were set aside", n)
		default:
			return ok("all can be read")
		}
	}}
}

// ObjectStore is what a check of the object store needs: where it is, and what waits for it.
type ObjectStore struct {
	Place string
	// Trouble is why the store cannot be used.
	Trouble error
	// Objects and Bytes wait in the state database since Since; Uncounted is why that is not known.
	Objects, Bytes int64
	Since          time.Time
	Uncounted      error
}

// Objects checks the object store and the queue before it.
func Objects(clk clock.Clock, look func(context.Context) ObjectStore) Check {
	return Check{"objects", func(ctx context.Context) (out []Finding) {
		s := look(ctx)
		if s.Trouble != nil {
			out = append(out, fail("see that the store runs, that this machine reaches it, and the section objects of the configuration", "%s cannot be used: %s", s.Place, s.Trouble)...)
		}
		switch {
		case s.Uncounted != nil:
			out = append(out, warn("see the state database above; `aluskort migrate` makes missing tables", "what waits for the store cannot be counted: %s", s.Uncounted)...)
		case s.Objects > 0:
			out = append(out, warn("they are handed over by themselves while a server runs and the store answers; writers are refused at objects.queue_mb",
				"%d objects, %d MB, wait for %s, the oldest for %s", s.Objects, s.Bytes>>20, s.Place, clk.Now().Sub(s.Since).Round(time.Second))...)
		}
		if len(out) == 0 {
			return ok("%s can be used, nothing waits for it", s.Place)
		}
		return out
	}}
}

// chainTail is how many records of a chain are checked.
const chainTail = 10_000

// Chain checks the end of every tenant's audit chain. verify returns the reports; none means
// that nothing was recorded.
func Chain(verify func(ctx context.Context, records int64) ([]audit.Report, error)) Check {
	return Check{"audit chain", func(ctx context.Context) []Finding {
		reports, err := verify(ctx, chainTail)
		if err != nil {
			return fail("see the database above", "cannot be read: %s", err)
		}
		if len(reports) == 0 {
			return ok("nothing has been recorded yet")
		}
		var out []Finding
		for i := range reports {
			r := &reports[i]
			if r.OK() {
				out = append(out, ok("tenant %s: head %d, the last %d records fit", r.Tenant, r.Head.Sequence, r.Records)...)
				continue
			}
			words := make([]string, 0, len(r.Findings))
			for _, f := range r.Findings[:min(len(r.Findings), maxWrong)] {
				words = append(words, f.String())
			}
			out = append(out, fail("`aluskort audit verify` names all of it; keep a copy before anything is repaired", "tenant %s is damaged at record %d: %s", r.Tenant, r.FirstBad, strings.Join(words, "; "))...)
		}
		return out
	}}
}

// Bus is what a check of the topics needs: those that exist, by name, and how their settings
// differ, in words. Place says which bus that is, as far as it is not the embedded one.
type Bus struct {
	Place              string
	Names, Differences []string
}

// Topics compares the topics that exist with the table. existing returns nil when there is no
// embedded bus yet.
func Topics(table []string, existing func(context.Context) (*Bus, error)) Check {
	return Check{"topics", func(ctx context.Context) []Finding {
		have, err := existing(ctx)
		switch {
		case err != nil && have != nil:
			return fail("see that the brokers run and that this machine reaches them; bus.brokers, bus.tls and bus.sasl say how", "%s does not answer: %s", have.Place, err)
		case err != nil:
			return fail("restore the folder bus, or remove it while no server runs: what was not processed is lost then", "%s", err)
		case have == nil:
			return ok("no bus yet; its first start makes %d topics", len(table))
		}
		var missing, extra []string
		for _, t := range table {
			if !slices.Contains(have.Names, t) {
				missing = append(missing, t)
			}
		}
		for _, t := range have.Names {
			if !slices.Contains(table, t) {
				extra = append(extra, t)
			}
		}
		switch {
		case len(missing) > 0 && have.Place != "":
			return fail("`aluskort topics apply` makes them", "missing on %s: %s", have.Place, strings.Join(missing, ", "))
		case len(missing) > 0:
			return warn("`aluskort topics apply` makes them", "missing: %s", strings.Join(missing, ", "))
		case len(have.Differences) > 0:
			return warn("`aluskort topics apply` mends them", "%s", strings.Join(have.Differences, "; "))
		case len(extra) > 0 && have.Place == "":
			return warn("they are not used; remove them if nothing else does", "unknown: %s", strings.Join(extra, ", "))
		default:
			return ok("all %d exist as they should", len(table))
		}
	}}
}

// Services checks the identity of this process among others. check names what is wrong; ends is
// when the certificate does.
func Services(clk clock.Clock, check func() (ends time.Time, err error)) Check {
	return Check{"services", func(context.Context) (out []Finding) {
		ends, err := check()
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				out = append(out, fail("set services.cert_file, key_file and ca_file to PEM files of this process, or run --target all", "%s", line)...)
			}
			return out
		}
		if left := ends.Sub(clk.Now()); left < renewWithin {
			return warn("renew it; the running process takes the new one by itself", "the certificate ends in %s", left.Round(time.Minute))
		}
		return ok("the certificate is good until %s", ends.UTC().Format("2006-01-02"))
	}}
}

// renewWithin is how long before its end a certificate is worth a word.
const renewWithin = 14 * 24 * time.Hour

// RuleReport is what a check of the evidence rules needs: how many are used, and what is wrong
// with the others, in words.
type RuleReport struct {
	Used     int
	Problems []string
}

// Rules checks the evidence rules.
func Rules(load func() (RuleReport, error)) Check {
	return Check{"rules", func(context.Context) []Finding {
		r, err := load()
		switch {
		case err != nil:
			return fail("correct or remove the folder that is named", "%s", err)
		case r.Used == 0:
			return fail("the shipped rules are part of the program: take a sound build", "no rule can be used")
		case len(r.Problems) > 0:
			words := r.Problems[:min(len(r.Problems), maxWrong)]
			return warn("correct them, or remove them from the folder", "%d used, %d cannot be: %s", r.Used, len(r.Problems), strings.Join(words, "; "))
		default:
			return ok("%d used", r.Used)
		}
	}}
}

// Taxonomy checks which techniques are known.
func Taxonomy(status func(context.Context) (versions string, techniques int, shipped bool, err error)) Check {
	return Check{"taxonomy", func(ctx context.Context) []Finding {
		versions, n, shipped, err := status(ctx)
		switch {
		case err != nil:
			return fail("see the state database above; `aluskort taxonomy import` mends a damaged taxonomy", "%s", err)
		case n == 0:
			return fail("take a sound build", "no technique is known")
		case shipped:
			return ok("%d techniques, the shipped table: %s", n, versions)
		default:
			return ok("%d techniques: %s", n, versions)
		}
	}}
}

// staleFeed is the age from which the newest import is old: most indicators live for a week.
const staleFeed = 7 * 24 * time.Hour

// Indicators checks that there is intelligence and that it is fresh.
func Indicators(clk clock.Clock, known func(context.Context) (n int, imports []intel.Imported, err error)) Check {
	return Check{"indicators", func(ctx context.Context) []Finding {
		n, imports, err := known(ctx)
		const mend = "`aluskort intel import FILE` reads CSV, MISP, STIX and KEV; run it daily"
		switch {
		case err != nil:
			return fail("see the state database above", "%s", err)
		case len(imports) == 0:
			return warn(mend, "none were ever imported: alerts are not compared with any")
		}
		newest := imports[0].At
		for _, i := range imports {
			if i.At.After(newest) {
				newest = i.At
			}
		}
		age := clk.Now().Sub(newest).Round(time.Minute)
		switch {
		case n == 0:
			return warn(mend, "all have expired; the last import was %s ago", age)
		case age > staleFeed:
			return warn(mend, "%d in force; the last import was %s ago", n, age)
		default:
			return ok("%d in force; the last import was %s ago", n, age)
		}
	}}
}
