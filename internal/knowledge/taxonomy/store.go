package taxonomy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// Store keeps imported techniques. It is safe for concurrent use. Errors of the engine wrap
// store.ErrUnavailable.
type Store struct{ db store.DB }

// NewStore returns a store in db, which has the migrations of store/schema.
func NewStore(db store.DB) *Store { return &Store{db: db} }

// Import reads a file and keeps what it says in place of what was imported of its part
// before, in one transaction.
func (s *Store) Import(ctx context.Context, r io.Reader, o Options, now time.Time) (*Bundle, error) {
	b, err := Read(r, o)
	if err != nil {
		return nil, err
	}
	return b, s.Replace(ctx, b, now)
}

// Replace keeps a bundle in place of what was imported of its part before.
func (s *Store) Replace(ctx context.Context, b *Bundle, now time.Time) error {
	if len(b.Techniques) == 0 {
		return ErrNoTechniques
	}
	techniques := b.Taxonomy().All() // each id once
	return s.db.Update(ctx, func(tx store.Tx) error {
		for _, query := range [...]string{
			`DELETE FROM taxonomy_ids WHERE part = $1`, `DELETE FROM mitre_techniques WHERE part = $1`,
		} {
			if _, err := tx.Exec(query, b.Part); err != nil {
				return fmt.Errorf("replace techniques of %s: %w", b.Part, err)
			}
		}
		if err := insertIDs(tx, b.Part, techniques, now); err != nil {
			return fmt.Errorf("keep ids of %s: %w", b.Part, err)
		}
		if err := insertTexts(tx, b, techniques, now); err != nil {
			return fmt.Errorf("keep texts of %s: %w", b.Part, err)
		}
		for _, m := range [...][2]string{{b.Part + versionKey, b.Version}, {"last_sync", now.UTC().Format(time.RFC3339)}} {
			_, err := tx.Exec(`INSERT INTO taxonomy_metadata (key, value, updated_at) VALUES ($1, $2, $3)
	ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`, m[0], m[1], now.UnixMicro())
			if err != nil {
				return fmt.Errorf("keep version of %s: %w", b.Part, err)
			}
		}
		return nil
	})
}

const versionKey = "_version"

func insertIDs(tx store.Tx, part string, techniques []Technique, now time.Time) error {
	return store.BulkInsert(tx, `INSERT INTO taxonomy_ids (technique_id, framework, part, name, is_subtechnique, parent_id,
	tactics, deprecated, revoked, replaced_by, last_updated)`, 11, len(techniques), func(row, col int) any {
		t := &techniques[row]
		switch col {
		case 0:
			return t.ID
		case 1:
			return string(FrameworkOf(t.ID))
		case 2:
			return part
		case 3:
			return t.Name
		case 4:
			return t.Parent() != ""
		case 5:
			return t.Parent()
		case 6:
			return list(t.Tactics)
		case 7:
			return t.Deprecated
		case 8:
			return t.Revoked
		case 9:
			return t.ReplacedBy
		default:
			return now.UnixMicro()
		}
	}, `ON CONFLICT (technique_id) DO UPDATE SET part = excluded.part, name = excluded.name, tactics = excluded.tactics,
	deprecated = excluded.deprecated, revoked = excluded.revoked, replaced_by = excluded.replaced_by,
	last_updated = excluded.last_updated`)
}

func insertTexts(tx store.Tx, b *Bundle, techniques []Technique, now time.Time) error {
	live := make([]*Technique, 0, len(techniques))
	for i := range techniques {
		if t := &techniques[i]; !t.Deprecated && !t.Revoked {
			live = append(live, t)
		}
	}
	return store.BulkInsert(tx, `INSERT INTO mitre_techniques (technique_id, technique_name, parent_technique, tactic,
	description, platforms, attack_version, part, last_updated)`, 9, len(live), func(row, col int) any {
		t := live[row]
		switch col {
		case 0:
			return t.ID
		case 1:
			return t.Name
		case 2:
			return t.Parent()
		case 3:
			return list(t.Tactics)
		case 4:
			return t.Description
		case 5:
			return list(t.Platforms)
		case 6:
			return b.Version
		case 7:
			return b.Part
		default:
			return now.UnixMicro()
		}
	}, `ON CONFLICT (technique_id) DO UPDATE SET technique_name = excluded.technique_name, tactic = excluded.tactic,
	description = excluded.description, platforms = excluded.platforms, attack_version = excluded.attack_version,
	part = excluded.part, last_updated = excluded.last_updated`)
}

// Changed is a number that is another after each import; 0 before the first. Whoever holds a copy
// sees by it that another process imported. It is a sum: the newest time would hide an import by a
// process whose clock is behind.
func (s *Store) Changed(ctx context.Context) (stamp int64, err error) {
	err = s.db.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT CAST(COALESCE(SUM(updated_at), 0) AS BIGINT) FROM taxonomy_metadata`).Scan(&stamp)
	})
	if err != nil {
		return 0, fmt.Errorf("taxonomy: last change: %w", err)
	}
	return stamp, nil
}

// Load returns what was imported laid over base, which is the shipped table as a rule. A part
// that was imported replaces what base says about its ids; ids of base stay known.
func (s *Store) Load(ctx context.Context, base *Taxonomy) (*Taxonomy, error) {
	var techniques []Technique
	versions := Versions{}
	err := s.db.View(ctx, func(tx store.Tx) (err error) {
		if techniques, err = selectIDs(tx); err != nil {
			return fmt.Errorf("load techniques: %w", err)
		}
		clear(versions)
		return selectVersions(tx, versions)
	})
	if err != nil {
		return nil, err
	}
	return New(techniques, versions).Over(base), nil
}

func selectIDs(tx store.Tx) (out []Technique, err error) {
	rows, err := tx.Query(`SELECT technique_id, name, tactics, deprecated, revoked, replaced_by FROM taxonomy_ids`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t Technique
		var tactics string
		if err := rows.Scan(&t.ID, &t.Name, &tactics, &t.Deprecated, &t.Revoked, &t.ReplacedBy); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(tactics), &t.Tactics); err != nil {
			return nil, fmt.Errorf("tactics of %s: %w", t.ID, err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

func selectVersions(tx store.Tx, into Versions) (err error) {
	rows, err := tx.Query(`SELECT key, value FROM taxonomy_metadata`)
	if err != nil {
		return fmt.Errorf("load versions: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if part, ok := strings.CutSuffix(key, versionKey); ok {
			into[part] = value
		}
	}
	return rows.Err()
}

// list is a list as JSON. Encoding valid UTF-8 cannot fail.
func list(l []string) string {
	if len(l) == 0 {
		return "[]"
	}
	b, err := json.Marshal(l)
	if err != nil {
		return "[]"
	}
	return string(b)
}
