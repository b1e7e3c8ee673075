package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/knowledge/embed"
)

// Question asks what a present alert or investigation resembles. Its texts are compared and never
// kept.
type Question struct {
	Tenant string
	// Like says what is asked about; of it Title, Source, Analytic, Techniques, Classes and Evidence are used.
	Like Incident
	// Except is an investigation that is no answer: the one that asks.
	Except string
	// At is the time from which ages count.
	At time.Time
	// Deep lets the past count more than the present.
	Deep bool
	// Limit is how many are wanted; 0 means 5.
	Limit int
}

// Precedent is an incident that a person decided, and that resembles what was asked about.
type Precedent struct {
	Investigation  string
	Title          string
	Analytic       string
	Techniques     []string
	Classification evidence.Classification
	Reason         string
	At             time.Time
	// Similarity is the cosine of the vectors, Score what precedents are ordered by; see Weights.
	Similarity, Score float64
}

// Answer is what was found, best first.
type Answer struct {
	Precedents []Precedent
	// Model names what compared the texts.
	Model string
	// Degraded says that the vector engine was not asked, and why; empty when it was.
	Degraded string
}

// Weights of the score: 0.40 similarity, 0.30 recency, 0.15 same tenant, 0.15 Jaccard of the
// techniques. All that is found is of the same tenant. Recency falls with the days d as
// 0.7·exp(-0.023·d) + 0.3/(1+ln(1+d/365)), and not below 0.1 for what is rare and important. A
// deep question weighs recency 0.10 and similarity 0.60.
const (
	weightSimilarity, weightRecency, weightTenant, weightTechniques = 0.40, 0.30, 0.15, 0.15
	deepSimilarity, deepRecency                                     = 0.60, 0.10
	rareFloor                                                       = 0.1
)

const (
	defaultLimit = 5
	maxLimit     = 50
	// overFetch is how many candidates are ordered by score for each that is wanted.
	overFetch, fetchAtLeast = 4, 20
)

// Recency is how much an incident of some age still counts, 1 for a new one.
func Recency(age time.Duration, rare bool) float64 {
	d := max(0, age.Hours()/24)
	r := 0.7*math.Exp(-0.023*d) + 0.3/(1+math.Log1p(d/365))
	if rare {
		return max(r, rareFloor)
	}
	return r
}

func jaccard(a, b []string) float64 {
	if len(a) == 0 && len(b) == 0 {
		return 0
	}
	both := 0
	for _, x := range a {
		if slices.Contains(b, x) {
			both++
		}
	}
	return float64(both) / float64(len(a)+len(b)-both)
}

// found is a candidate with its similarity.
type found struct {
	row
	similarity float64
}

// Similar finds precedents. It fails with ErrInvalid, with the error of ctx, or when the database
// cannot be read.
func (m *Memory) Similar(ctx context.Context, q Question) (Answer, error) {
	if q.Tenant == "" || q.At.IsZero() {
		return Answer{}, fmt.Errorf("%w: a question without tenant or time", ErrInvalid)
	}
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, maxLimit)
	// The source's words are bounded as those that are kept, and compared with those alone.
	q.Like.Title, q.Like.Analytic, q.Like.Source = clean(q.Like.Title, maxText), clean(q.Like.Analytic, maxName), clean(q.Like.Source, maxName)
	q.Like.Techniques, q.Like.Classes, q.Like.Evidence = list(q.Like.Techniques), list(q.Like.Classes), list(q.Like.Evidence)
	text := q.Like.text()
	if len(rarest(text, 1)) == 0 {
		return Answer{Model: m.cfg.Embedder.Model().String()}, nil
	}
	candidates, err := m.nearest(ctx, &q, text)
	out := Answer{Model: m.cfg.Embedder.Model().String()}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return Answer{}, ctx.Err()
	case errors.Is(err, vector.ErrUnavailable), errors.Is(err, vector.ErrNotFound), errors.Is(err, embed.ErrUnavailable), errors.Is(err, errNoEngine):
		out.Degraded = "the vector engine cannot be asked: words were searched in the database"
		out.Model = embed.Lexical{}.Model().String()
		if candidates, err = m.byWords(ctx, &q, text); err != nil {
			return Answer{}, fmt.Errorf("similar incidents by words: %w", err)
		}
	default:
		return Answer{}, fmt.Errorf("similar incidents: %w", err)
	}
	out.Precedents = m.order(candidates, &q)
	return out, nil
}

var errNoEngine = errors.New("memory: no vector engine")

// nearest asks the vector engine, and the database about what it found: what is forgotten there is
// not shown, whatever the index still holds.
func (m *Memory) nearest(ctx context.Context, q *Question, text string) ([]found, error) {
	if m.cfg.Vectors == nil {
		return nil, errNoEngine
	}
	vectors, err := m.cfg.Embedder.Embed(ctx, q.Tenant, []string{text})
	if err != nil {
		return nil, err
	}
	hits, err := m.search(ctx, q.Tenant, vector.Query{
		Vector: vectors[0], Limit: max(fetchAtLeast, overFetch*q.Limit), Threshold: &m.cfg.Nearest, WithPayload: true,
		Filter: vector.Filter{Must: []vector.Condition{vector.Match(keyModel, m.cfg.Embedder.Model().String()), vector.Match(keyPerson, true)}},
	})
	if err != nil {
		return nil, err
	}
	similarity := map[string]float64{}
	for _, h := range hits {
		if id, ok := h.Payload["investigation"].(string); ok {
			similarity[id] = h.Score
		}
	}
	rows, err := m.rowsOf(ctx, q.Tenant, similarity)
	if err != nil {
		return nil, err
	}
	out := make([]found, 0, len(rows))
	for i := range rows {
		out = append(out, found{rows[i], similarity[rows[i].Investigation]})
	}
	return out, nil
}

// patience is how long a question waits for the vector engine: verdicts wait for the answer.
const patience = 500 * time.Millisecond

var errAway = fmt.Errorf("%w: it did not answer a moment ago", vector.ErrUnavailable)

// search asks the vector engine, unless it just failed: then one question in a while tries it.
func (m *Memory) search(ctx context.Context, tenant string, q vector.Query) ([]vector.Hit, error) {
	if !m.away.May(m.cfg.Clock.Now()) {
		return nil, errAway
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	hits, err := m.cfg.Vectors.Search(patient, tenant, m.collection.Name, q)
	if ctx.Err() != nil {
		m.away.Release()
		return nil, ctx.Err()
	}
	if err != nil && patient.Err() != nil {
		err = fmt.Errorf("%w: no answer within %s", vector.ErrUnavailable, patience)
	}
	m.heard(err)
	return hits, err
}

// heard notes whether the vector engine answered; answers that were found without it are not kept
// once it is back.
func (m *Memory) heard(err error) {
	if !errors.Is(err, vector.ErrUnavailable) {
		err = nil
	}
	switch {
	case !m.away.Told(err, m.cfg.Clock.Now()):
	case err != nil:
		m.cfg.Log.Warn("the vector engine does not answer: similar incidents are found by their words", "error", err)
	default:
		m.cfg.Log.Info("the vector engine answers again")
		m.generation.Add(1)
	}
}

const selectOne = `SELECT ` + columns + ` FROM incident_memory WHERE tenant = $1 AND investigation = $2 AND person = 1 AND gone = 0`

func (m *Memory) rowsOf(ctx context.Context, tenant string, ids map[string]float64) (out []row, err error) {
	err = m.cfg.DB.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		out = nil
		for id := range ids {
			rows, err := readRows(tx, selectOne, tenant, id)
			if err != nil {
				return err
			}
			out = append(out, rows...)
		}
		return nil
	})
	return out, err
}

// maxByWords is how many incidents that share words are compared.
const maxByWords = 100

// selectByWords counts shared words; the number of placeholders is fixed, missing ones are -1.
var selectByWords = `SELECT ` + columns + ` FROM incident_memory m JOIN (
	SELECT incident, COUNT(*) AS shared FROM incident_word WHERE tenant = $1 AND word IN (` + placeholders(2, wordsAsked) + `) GROUP BY incident
	) w ON w.incident = m.seq WHERE m.tenant = $1 AND m.person = 1 AND m.gone = 0 ORDER BY w.shared DESC, m.seq DESC LIMIT ` + fmt.Sprint(maxByWords)

func placeholders(from, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("$%d", from+i)
	}
	return strings.Join(out, ", ")
}

// byWords finds incidents that share rare words and compares them by the lexical embedder.
func (m *Memory) byWords(ctx context.Context, q *Question, text string) (out []found, err error) {
	args := []any{q.Tenant}
	words := rarest(text, wordsAsked)
	for i := range wordsAsked {
		if i < len(words) {
			args = append(args, words[i])
		} else {
			args = append(args, int64(-1))
		}
	}
	var rows []row
	err = m.cfg.DB.View(store.ForTenant(ctx, q.Tenant), func(tx store.Tx) (err error) {
		rows, err = readRows(tx, selectByWords, args...)
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	asked, err := embed.Lexical{}.Embed(ctx, q.Tenant, []string{text})
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if one, err := (embed.Lexical{}).Embed(ctx, q.Tenant, []string{rows[i].text()}); err == nil {
			if s := cosine(asked[0], one[0]); s >= m.cfg.Nearest {
				out = append(out, found{rows[i], s})
			}
		}
	}
	return out, ctx.Err()
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return max(-1, min(1, sum))
}

func (m *Memory) order(list []found, q *Question) []Precedent {
	similarity, recency := weightSimilarity, weightRecency
	if q.Deep {
		similarity, recency = deepSimilarity, deepRecency
	}
	var out []Precedent
	for i := range list {
		f := &list[i]
		if f.Investigation == q.Except || !f.Person {
			continue
		}
		score := similarity*f.similarity + recency*Recency(q.At.Sub(f.At), f.Rare) + weightTenant + weightTechniques*jaccard(q.Like.Techniques, f.Techniques)
		out = append(out, Precedent{
			Investigation: f.Investigation, Title: f.Title, Analytic: f.Analytic, Techniques: f.Techniques, Classification: f.Classification,
			Reason: f.Reason, At: f.At, Similarity: f.similarity, Score: score,
		})
	}
	slices.SortFunc(out, func(a, b Precedent) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), b.At.Compare(a.At), cmp.Compare(a.Investigation, b.Investigation))
	})
	return out[:min(len(out), q.Limit)]
}
