package auditlog

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// work is one message after decoding.
type work struct {
	msg     Message
	whole   *rejection        // the message as a whole was rejected
	rejects map[int]rejection // single events that were, by index
}

// rejection is what could not be decoded and the record that says so.
type rejection struct {
	view    audit.View
	sha     string
	content []byte
}

// decode takes messages apart and prepares the records of what cannot be decoded, before the
// transaction begins.
func (s *Service) decode(ctx context.Context, messages [][]byte) []work {
	out := make([]work, len(messages))
	for i, payload := range messages {
		w := &out[i]
		var err error
		if w.msg, err = DecodeMessage(payload); err != nil {
			r := s.reject(ctx, &w.msg, w.msg.From, w.msg.To, payload, err)
			w.whole = &r
			continue
		}
		for j := range w.msg.Events {
			if e := &w.msg.Events[j]; e.Err != nil {
				if w.rejects == nil {
					w.rejects = map[int]rejection{}
				}
				seq := w.msg.From + int64(j)
				w.rejects[j] = s.reject(ctx, &w.msg, seq, seq, []byte(e.Wire), e.Err)
			}
		}
	}
	return out
}

func (s *Service) reject(ctx context.Context, m *Message, from, to int64, content []byte, cause error) rejection {
	tenant := m.Tenant
	if tenant == "" {
		tenant = s.cfg.RejectedTenant
	}
	r := rejection{sha: audit.Hash(sha256.Sum256(content)).String(), content: content}
	object := ""
	if s.cfg.StoreRejected != nil {
		// An object store that is down must not stop the chain; the table keeps the bytes.
		if id, err := s.cfg.StoreRejected(ctx, tenant, r.sha, content); err == nil {
			object = id
		}
	}
	now := s.cfg.Clock.Now().UnixMicro()
	var err error
	if r.view, err = rejectedView(now, m.Origin, from, to, r.sha, len(content), object, cause.Error()); err != nil {
		// The object id or the cause is not UTF-8; the record can do without both.
		r.view, _ = rejectedView(now, "", from, to, r.sha, len(content), "", "see the bytes")
	}
	return r
}

func rejectedView(now int64, origin string, from, to int64, sha string, size int, object, cause string) (audit.View, error) {
	context, err := new(audit.Object).Str("cause", cause).Int("first_sequence", from).Int("last_sequence", to).
		Str("object_id", object).Str("origin", origin).Str("sha256", sha).Int("size", int64(size)).Finish()
	if err != nil {
		return audit.View{}, err
	}
	return viewOf(&audit.Event{
		Type: audit.AuditRejected, Timestamp: now, Severity: audit.SeverityCritical,
		ActorType: audit.ActorSystem, ActorID: service, SourceService: service, Context: context,
	})
}

// stored is the content of an audit.rejected record.
type stored struct {
	id      int64
	sha     string
	content []byte
}

// orphan seals the rejection of a message that says nothing believable about itself. It has no
// number to know a redelivery by, so the same bytes are recorded once.
func (a *appending) orphan(index int, r *rejection) error {
	var known int64
	err := a.tx.QueryRow(`SELECT id FROM audit_rejected WHERE sha256 = $1`, r.sha).Scan(&known)
	if err == nil {
		return nil
	}
	if !errors.Is(err, store.ErrNoRows) {
		return err
	}
	for i := range a.rejects {
		if a.rejects[i].sha == r.sha {
			return nil
		}
	}
	c, err := a.chain(a.s.cfg.RejectedTenant)
	if err != nil {
		return err
	}
	if c.broken != nil {
		a.refused = append(a.refused, Refusal{index, c.broken})
		return nil
	}
	return a.sealRejection(c, *r)
}

func (a *appending) sealRejection(c *chainState, r rejection) error {
	if err := a.seal(c, &r.view); err != nil {
		return err
	}
	a.rejects = append(a.rejects, stored{rowID(c.no, c.chain.Head().Sequence), r.sha, r.content})
	return nil
}
