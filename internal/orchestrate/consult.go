package orchestrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// Asking a model is slow work (MECHANICS 10): the commit of a verdict writes a job, a worker
// claims it with a lease, asks outside any transaction, and its answer is applied in a
// transaction of its own. The verdict never waits for it.

// Job is one investigation about which a model is to be asked, as a worker claimed it.
type Job struct {
	Investigation *investigate.Investigation
	// Alert is the newest alert of the investigation.
	Alert *alert.Message
	// Input is the digest of the evidence that the job was made for.
	Input string
	// Attempts counts the claims, this one included.
	Attempts int
	// Priority is 0 for critical to 3 for low.
	Priority int

	owner string
}

// Consulted is what became of a job. Exactly one of Opinion, Failure and Later is set.
type Consulted struct {
	Job Job
	// Opinion is a validated answer.
	Opinion *opinion.Opinion
	// Failure says why there will be none: a person decides.
	Failure string
	// Later says that the job waits, and until when; Unavailable that no model could be asked at all.
	Later       time.Time
	Unavailable bool
	// Indicators and Summary fill gaps that the parser left; they only add.
	Indicators []alert.Indicator
	Summary    string
	// Calls and MicroUSD are what it took, also without an opinion; Estimated says that a part of
	// the cost was not measured.
	Calls     int
	MicroUSD  int64
	Estimated bool
	// Events are what the gateway has to say to the audit trail.
	Events []audit.Event
}

// TopicsOfJobs are the topics on which jobs are announced, most urgent first.
var TopicsOfJobs = [...]string{"jobs.llm.priority.critical", "jobs.llm.priority.high", "jobs.llm.priority.normal", "jobs.llm.priority.low"}

// priorityOf maps a severity to a queue (REFERENCE section 5).
func priorityOf(s alert.Severity) int {
	switch s {
	case alert.Critical:
		return 0
	case alert.High:
		return 1
	case alert.Low, alert.Informational:
		return 3
	default:
		return 2
	}
}

func (e *Engine) level() investigate.Degradation { return e.cfg.Level() }

// consult makes a job where the policy asks for a model and the evidence is not known to one.
func (w *writer) consult(r *row) {
	inv := r.inv
	if w.e.cfg.Consult == nil || inv.DecidedByPerson() || inv.State == investigate.Closed || inv.State == investigate.Failed ||
		!w.e.cfg.Consult(inv) || !inv.Consult() {
		return
	}
	if !slices.Contains(w.jobs, r) {
		w.jobs = append(w.jobs, r)
	}
}

// credit names the model as the author of a verdict that would be another class without it.
func (e *Engine) credit(v *evidence.Verdict, inv *investigate.Investigation, prior reason.Prior, severity alert.Severity) {
	without := slices.DeleteFunc(slices.Clone(inv.Evidence), func(x evidence.Evidence) bool { return opinion.IsModel(&x) })
	if len(without) == len(inv.Evidence) {
		return
	}
	alone := reason.Decide(prior, without, severity, nil, e.cfg.Thresholds)
	if alone.Classification != v.Classification {
		v.By = inv.Consultation.Opinion.Model
	}
	note := fmt.Sprintf("without the model: %s at %.0f %%", alone.Classification, 100*alone.Probability)
	if v.Counterfactual != "" {
		note = v.Counterfactual + "; " + note
	}
	v.Counterfactual = note
}

const (
	insertJob = `INSERT INTO model_job (investigation, tenant, priority, queued_at, input, attempts, wake_at)`
	upsertJob = `ON CONFLICT (investigation) DO UPDATE SET priority = CASE WHEN excluded.priority < model_job.priority THEN excluded.priority ELSE model_job.priority END,
	input = excluded.input, wake_at = CASE WHEN excluded.wake_at < model_job.wake_at THEN excluded.wake_at ELSE model_job.wake_at END`
)

// hint is a line of a message on a job topic.
type hint struct {
	Tenant        string `json:"tenant_id"`
	Investigation string `json:"investigation_id"`
	Version       int64  `json:"version"`
}

// queueJobs writes the jobs of the transaction and returns the messages that announce them.
func (w *writer) queueJobs() ([]store.Message, error) {
	if len(w.jobs) == 0 {
		return nil, nil
	}
	jobs := w.jobs
	slices.SortFunc(jobs, func(a, b *row) int {
		if a.inv.ID < b.inv.ID {
			return -1
		}
		return 1
	})
	err := store.BulkInsert(w.tx, insertJob, 7, len(jobs), func(i, c int) any {
		inv := jobs[i].inv
		switch c {
		case 0:
			return inv.ID
		case 1:
			return inv.TenantID
		case 2:
			return priorityOf(inv.Verdict.Severity)
		case 3:
			return w.now.UnixMicro()
		case 4:
			return inv.Consultation.Input
		case 5:
			return 0
		default:
			return w.now.UnixMicro()
		}
	}, upsertJob)
	if err != nil {
		return nil, fmt.Errorf("store jobs for a model: %w", err)
	}
	type key struct {
		tenant   string
		priority int
	}
	lines := map[key][]byte{}
	var order []key
	for _, r := range jobs {
		k := key{r.inv.TenantID, priorityOf(r.inv.Verdict.Severity)}
		line, err := json.Marshal(hint{r.inv.TenantID, r.inv.ID, r.inv.Version})
		if err != nil {
			return nil, fmt.Errorf("announce job: %w", err)
		}
		if lines[k] == nil {
			order = append(order, k)
		}
		lines[k] = append(append(lines[k], line...), '\n')
	}
	out := make([]store.Message, len(order))
	for i, k := range order {
		out[i] = store.Message{Topic: TopicsOfJobs[k.priority], Key: []byte(k.tenant), Tenant: k.tenant, Payload: lines[k]}
	}
	return out, nil
}

// Timing of jobs.
const (
	jobLease = time.Minute
	// promoteAfter is how long a low job waits before it counts as a normal one.
	promoteAfter = 10 * time.Minute
	// turns is how many jobs of higher priority go before one of the next lower.
	turns = 16
)

type candidate struct {
	id, tenant, input string
	attempts          int
	priority          int
	queued            int64
}

const (
	// It ends with store.SkipLocked: workers of other processes take other jobs.
	selectJobs = `SELECT investigation, tenant, input, attempts, priority, queued_at FROM model_job
	WHERE priority = $1 AND wake_at <= $2 AND (lease_until IS NULL OR lease_until <= $2) ORDER BY queued_at LIMIT $3`
	leaseJob = `UPDATE model_job SET lease_owner = $1, lease_until = $2, attempts = attempts + 1 WHERE investigation = $3`
)

// ClaimJobs takes at most n jobs, most urgent first and the others in their turn, under a lease
// of owner.
func (e *Engine) ClaimJobs(ctx context.Context, owner string, n int) (out []Job, err error) {
	err = e.db.Update(ctx, func(tx store.Tx) error {
		out = nil
		now := e.cfg.Clock.Now()
		var queues [len(TopicsOfJobs)][]candidate
		for p := range queues {
			err := query1(tx, e.selectJobs, []any{p, now.UnixMicro(), n}, func(rows store.Rows) error {
				var c candidate
				err := rows.Scan(&c.id, &c.tenant, &c.input, &c.attempts, &c.priority, &c.queued)
				queues[p] = append(queues[p], c)
				return err
			})
			if err != nil {
				return err
			}
		}
		picked := e.turn.pick(promote(queues, now.Add(-promoteAfter).UnixMicro()), n)
		for _, c := range picked {
			if _, err := tx.Exec(leaseJob, owner, now.Add(jobLease).UnixMicro(), c.id); err != nil {
				return err
			}
		}
		out, err = e.jobsOf(tx, owner, picked)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim jobs for a model: %w", err)
	}
	return out, nil
}

func (e *Engine) jobsOf(tx store.Tx, owner string, picked []candidate) ([]Job, error) {
	ids := make([]string, len(picked))
	for i, c := range picked {
		ids[i] = c.id
	}
	rows, _, err := e.loadRows(tx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]Job, 0, len(picked))
	for _, c := range picked {
		r := rows[c.id]
		var m *alert.Message
		if r != nil {
			m, _, err = e.alertAt(tx, r.last)
		}
		if r == nil || errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
			// What cannot be read cannot be asked about; the reviser sets it aside.
			if _, err := tx.Exec(deleteJob, c.id); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, Job{Investigation: r.inv, Alert: m, Input: c.input, Attempts: c.attempts + 1, Priority: c.priority, owner: owner})
	}
	return out, nil
}

// promote moves low jobs that have waited too long in front of the normal ones.
func promote(queues [len(TopicsOfJobs)][]candidate, before int64) [len(TopicsOfJobs)][]candidate {
	const normal, low = 2, 3
	var old []candidate
	queues[low] = slices.DeleteFunc(queues[low], func(c candidate) bool {
		if c.queued <= before {
			old = append(old, c)
			return true
		}
		return false
	})
	queues[normal] = append(old, queues[normal]...)
	return queues
}

// turn remembers, per queue, how many jobs of higher priority went before one of it. Safe for
// concurrent use.
type turn struct {
	mu     sync.Mutex
	passed [len(TopicsOfJobs)]int
}

// pick takes up to n jobs: from the most urgent queue that has any, but after every turns of
// those one from the next lower.
func (t *turn) pick(queues [len(TopicsOfJobs)][]candidate, n int) (out []candidate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(out) < n {
		from := -1
		for q := range queues {
			if len(queues[q]) == 0 {
				continue
			}
			if from < 0 {
				from = q
			} else if t.passed[q] >= turns {
				from = q // it waited for its turn
				break
			}
		}
		if from < 0 {
			return out
		}
		out = append(out, queues[from][0])
		queues[from] = queues[from][1:]
		t.passed[from] = 0
		for q := from + 1; q < len(queues); q++ {
			if len(queues[q]) > 0 {
				t.passed[q]++
				break
			}
		}
	}
	return out
}

const (
	renewJobs = `UPDATE model_job SET lease_until = $1 WHERE lease_owner = $2 AND investigation = $3`
	ownedJob  = `SELECT input FROM model_job WHERE investigation = $1 AND lease_owner = $2`
	deleteJob = `DELETE FROM model_job WHERE investigation = $1`
	freeJobs  = `UPDATE model_job SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1`
	laterJob  = `UPDATE model_job SET lease_owner = NULL, lease_until = NULL, wake_at = $1 WHERE investigation = $2`
)

// RenewJobs prolongs the leases of jobs that are still worked on.
func (e *Engine) RenewJobs(ctx context.Context, jobs []Job) error {
	return e.db.Update(ctx, func(tx store.Tx) error {
		until := e.cfg.Clock.Now().Add(jobLease).UnixMicro()
		for i := range jobs {
			if _, err := tx.Exec(renewJobs, until, jobs[i].owner, jobs[i].Investigation.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// FreeJobs ends the leases of a worker that is certainly not working any more, so that nobody waits
// until they end by themselves: of a process that was killed and has started again. The attempts
// count, so that a question that kills its worker is not asked for ever.
func (e *Engine) FreeJobs(ctx context.Context, owner string) (n int64, err error) {
	err = e.db.Update(ctx, func(tx store.Tx) (err error) {
		n, err = tx.Exec(freeJobs, owner)
		return err
	})
	return n, err
}

// FinishJobs applies what became of jobs, in one transaction with the audit events. A job whose
// lease another worker took meanwhile changes nothing but the account of what was spent.
func (e *Engine) FinishJobs(ctx context.Context, list []Consulted) error {
	pick := func(store.Tx) ([]string, error) {
		ids := make([]string, len(list))
		for i := range list {
			ids[i] = list[i].Job.Investigation.ID
		}
		return ids, nil
	}
	_, err := e.each(ofOneTenant(ctx, list), pick, func(w *writer, ids []string) error {
		for i := range list {
			if slices.Contains(ids, list[i].Job.Investigation.ID) {
				if err := w.finish(&list[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("apply opinions of a model: %w", err)
	}
	return nil
}

// ofOneTenant binds ctx to the tenant of the jobs where all are of one.
func ofOneTenant(ctx context.Context, list []Consulted) context.Context {
	if len(list) == 0 {
		return ctx
	}
	tenant := list[0].Job.Investigation.TenantID
	for i := range list {
		if list[i].Job.Investigation.TenantID != tenant {
			return ctx
		}
	}
	return store.ForTenant(ctx, tenant)
}

func (w *writer) finish(c *Consulted) error {
	id := c.Job.Investigation.ID
	r := w.rows[id]
	if r == nil {
		return nil
	}
	for _, ev := range c.Events {
		w.journal.append(r.inv.TenantID, ev)
	}
	var input string
	err := w.tx.QueryRow(ownedJob, id, c.Job.owner).Scan(&input)
	owned := err == nil
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return err
	}
	if owned {
		if err := w.release(c, input); err != nil {
			return err
		}
	}
	inv := r.inv
	con := inv.Consultation
	if con == nil || c.Calls == 0 && !owned {
		return nil
	}
	w.touch(id)
	con.Calls += c.Calls
	con.MicroUSD += c.MicroUSD
	con.Estimated = con.Estimated || c.Estimated
	if !owned || inv.DecidedByPerson() {
		return nil
	}
	if c.Later.IsZero() {
		con.Pending = input != c.Job.Input
		con.Failure = c.Failure
	}
	if c.Opinion != nil {
		con.Opinion = c.Opinion
	}
	inv.AddIndicators(c.Indicators)
	con.Summary = cmp.Or(con.Summary, c.Summary)
	w.reconsider(r)
	return nil
}

// release ends the lease: the job is gone, or waits for later, or for a worker at once because
// the evidence changed while a model was asked.
func (w *writer) release(c *Consulted, input string) error {
	id := c.Job.Investigation.ID
	var err error
	switch {
	case !c.Later.IsZero():
		_, err = w.tx.Exec(laterJob, c.Later.UnixMicro(), id)
	case input != c.Job.Input:
		_, err = w.tx.Exec(laterJob, w.now.UnixMicro(), id)
	default:
		_, err = w.tx.Exec(deleteJob, id)
	}
	return err
}

// reconsider decides again with the opinion of a model; like a link, it never re-opens what a
// person or a pattern closed.
func (w *writer) reconsider(r *row) {
	var lent []evidence.Evidence
	own := map[string]bool{}
	for _, e := range r.inv.OwnEvidence() {
		own[e.ID] = true
	}
	for i := range r.inv.Evidence {
		if e := &r.inv.Evidence[i]; !own[e.ID] && !opinion.IsModel(e) {
			lent = append(lent, *e)
		}
	}
	withDerived(r.inv, lent)
	if revisable(r.inv) {
		w.revise(r)
	}
}

// Consulting reports whether there is a job that no worker has tried yet, that is due, or that is
// worked on. It looks no further than the first: whoever waits for the end asks often.
func (e *Engine) Consulting(ctx context.Context) (some bool, err error) {
	err = e.db.View(ctx, func(tx store.Tx) error {
		var n int64
		err := tx.QueryRow(`SELECT COUNT(*) FROM (SELECT 1 FROM model_job WHERE attempts = 0 OR lease_owner IS NOT NULL OR wake_at <= $1 LIMIT 1) AS first`,
			e.cfg.Clock.Now().UnixMicro()).Scan(&n)
		some = n > 0
		return err
	})
	return some, err
}

// Jobs tells how many jobs wait, by priority.
func (e *Engine) Jobs(ctx context.Context) (out [len(TopicsOfJobs)]int64, err error) {
	err = e.db.View(ctx, func(tx store.Tx) error {
		return query1(tx, `SELECT priority, COUNT(*) FROM model_job GROUP BY priority`, nil, func(rows store.Rows) error {
			var p, n int64
			if err := rows.Scan(&p, &n); err != nil {
				return err
			}
			out[p] = n
			return nil
		})
	})
	return out, err
}

const selectDegraded = `SELECT id FROM investigation WHERE wait_reason = 'degraded' ORDER BY updated_at LIMIT $1`

// Recover decides again about what waits only because the product was degraded, once it is not
// any more; 0 looked at means that nothing is left.
func (e *Engine) Recover(ctx context.Context) (looked int, err error) {
	if l := e.level(); l != investigate.FullCapability && l != investigate.SecondaryActive {
		return 0, nil
	}
	looked, err = e.each(ctx, pickIDs(selectDegraded, reviseAtOnce), func(w *writer, ids []string) error {
		for _, id := range ids {
			if r := w.rows[id]; r != nil {
				w.touch(id)
				w.revise(r)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("decide again after degradation: %w", err)
	}
	return looked, nil
}
