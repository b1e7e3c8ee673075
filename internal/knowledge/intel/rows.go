package intel

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
)

func eachRow(rows store.Rows, fn func() error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(); err != nil {
			return err
		}
	}
	return rows.Err()
}

const indicatorColumns = `indicator_type, indicator_value, confidence, severity,
	associated_campaigns, associated_groups, mitre_techniques, first_seen, last_seen,
	sources, context, expiry, tags`

func selectOne(tx store.Tx, tenant string, t alert.IndicatorType, value string) (Indicator, error) {
	var s scanner
	return s.indicator(tx.QueryRow(`SELECT `+indicatorColumns+` FROM threat_intel_iocs
	WHERE indicator_type = $1 AND indicator_value = $2 AND tenant_id = $3`, string(t), value, tenant))
}

// scanner reads rows. It shares equal lists, which are most of them.
type scanner struct{ lists map[string][]string }

func (s *scanner) indicator(row store.Row, more ...any) (Indicator, error) {
	var i Indicator
	var kind, campaigns, groups, techniques, sources, tags string
	var severity, expiry int64
	var first, last sql.Null[int64]
	dest := append([]any{&kind, &i.Value, &i.Confidence, &severity, &campaigns, &groups, &techniques,
		&first, &last, &sources, &i.Context, &expiry, &tags}, more...)
	if err := row.Scan(dest...); err != nil {
		return i, err
	}
	i.Type, i.Severity = alert.IndicatorType(kind), alert.Severity(severity)
	i.FirstSeen, i.LastSeen, i.Expiry = fromMicros(first), fromMicros(last), time.UnixMicro(expiry).UTC()
	for _, l := range [...]struct {
		dest *[]string
		text string
	}{{&i.Campaigns, campaigns}, {&i.Groups, groups}, {&i.Techniques, techniques}, {&i.Sources, sources}, {&i.Tags, tags}} {
		var err error
		if *l.dest, err = s.list(l.text); err != nil {
			return i, fmt.Errorf("indicator %s %s: %w", kind, i.Value, err)
		}
	}
	return i, nil
}

// maxSharedLists bounds the memory of the shared lists when hardly any are equal.
const maxSharedLists = 100_000

func (s *scanner) list(text string) ([]string, error) {
	if text == "[]" {
		return nil, nil
	}
	if l, ok := s.lists[text]; ok {
		return l, nil
	}
	var l []string
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	if s.lists != nil && len(s.lists) < maxSharedLists {
		s.lists[text] = l
	}
	return l, nil
}

// list is a list as JSON. Encoding strings cannot fail: bound made them valid UTF-8.
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

func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func fromMicros(n sql.Null[int64]) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.V).UTC()
}
