package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/go-json-experiment/json/jsontext"
)

// Auto is the source name that asks for detection from content.
const Auto = "auto"

// certain is the least score of Detect that says more than "this looks like some alert": from
// there on an object is an alert and not an envelope of alerts.
const certain = 20

// Registry holds the adapters of a process. It is safe for concurrent use.
type Registry struct {
	list []Adapter
	flat alert.Flattener
}

// New returns a registry of the adapters. Where two claim a record equally, the first wins; one
// with the name of an earlier one takes its place, so that a mapping file can replace a built-in.
func New(adapters ...Adapter) *Registry {
	r := &Registry{}
	for _, a := range adapters {
		name := a.Descriptor().Name
		i := slices.IndexFunc(r.list, func(x Adapter) bool { return x.Descriptor().Name == name })
		if i < 0 {
			r.list = append(r.list, a)
		} else {
			r.list[i] = a
		}
	}
	return r
}

// Adapter returns the adapter of that name.
func (r *Registry) Adapter(name string) (Adapter, bool) {
	for _, a := range r.list {
		if a.Descriptor().Name == name {
			return a, true
		}
	}
	return nil, false
}

// Names returns the names of the adapters, sorted.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.list))
	for _, a := range r.list {
		names = append(names, a.Descriptor().Name)
	}
	slices.Sort(names)
	return names
}

// Detect returns the adapter that is surest that the record is its own, and how sure; nil and
// 0 when none is.
func (r *Registry) Detect(f alert.Fields) (Adapter, int) {
	var best Adapter
	score := 0
	for _, a := range r.list {
		if s := a.Detect(f); s > score {
			best, score = a, s
		}
	}
	return best, score
}

// Reader returns a reader that knows the envelopes of the adapters.
func (r *Registry) Reader() *Reader {
	// The first are common to web APIs; tables is Log Analytics'.
	paths := []string{"tables", "value", "alerts", "results", "records", "Records", "data", "items"}
	for _, a := range r.list {
		if e, ok := a.(Envelope); ok {
			for _, p := range e.EnvelopePaths() {
				paths = addDistinct(paths, p)
			}
		}
	}
	return &Reader{Envelopes: paths, Recognised: func(f alert.Fields) bool {
		_, score := r.Detect(f)
		return score >= certain
	}}
}

// Fields flattens a native record the way alerts of that source carry it: what Alert.Fields
// held before the alert travelled. An unknown source gets the plain fields.
func (r *Registry) Fields(source string, raw []byte) (alert.Fields, error) {
	f, err := r.flat.Flatten(raw)
	if err != nil {
		return nil, err
	}
	if a, ok := r.Adapter(source); ok {
		if v, ok := a.(Viewer); ok {
			f = v.View(f)
		}
	}
	return f, nil
}

// Normalise turns one record into a canonical alert. source is the name of an adapter or Auto;
// tenant is that of the intake's credential; now is the time of acceptance. The alert keeps
// rec.Raw. Errors are ErrHeartbeat, *RejectError, or the record's own.
func (r *Registry) Normalise(rec Record, source, tenant string, now time.Time) (alert.Alert, error) {
	if rec.Err != nil {
		return alert.Alert{}, rec.Err
	}
	f, err := r.flat.Flatten(rec.Raw)
	if err != nil {
		return alert.Alert{}, &RejectError{Source: known(source), Place: "byte 0", Reason: flattenReason(err)}
	}
	adapter, err := r.choose(source, f)
	if err != nil {
		return alert.Alert{}, err
	}
	a, err := adapter.Normalise(rec.Raw, f)
	if err != nil {
		var reject *RejectError
		if !errors.Is(err, ErrHeartbeat) && !errors.As(err, &reject) {
			err = &RejectError{Source: adapter.Descriptor().Name, Reason: err.Error()}
		}
		return alert.Alert{}, err
	}
	finish(&a, adapter, rec.Raw, f)
	a.TenantID = tenant
	a.IngestedAt = micro(now)
	return a, nil
}

func known(source string) string {
	if source == Auto {
		return ""
	}
	return source
}

func flattenReason(err error) string {
	switch {
	case errors.Is(err, alert.ErrNotObject):
		return "not a JSON object; each record must be an object in braces"
	case errors.Is(err, alert.ErrTooLarge), errors.Is(err, alert.ErrTooDeep), errors.Is(err, alert.ErrTooManyFields):
		return strings.TrimPrefix(err.Error(), "alert: ") + "; shorten the record at its source"
	}
	return strings.TrimPrefix(err.Error(), "alert: ")
}

func (r *Registry) choose(source string, f alert.Fields) (Adapter, error) {
	if source != Auto && source != "" {
		a, ok := r.Adapter(source)
		if !ok {
			return nil, &RejectError{Reason: fmt.Sprintf("there is no source %q; use one of %s, or %s",
				source, strings.Join(r.Names(), ", "), Auto)}
		}
		return a, nil
	}
	a, score := r.Detect(f)
	if score == 0 {
		return nil, &RejectError{Place: "/", Reason: fmt.Sprintf("no known product's alert (keys: %s); name the source, or describe the format in a mapping file",
			TopKeys(f))}
	}
	return a, nil
}

// TopKeys lists some keys of the record, so that a person sees which record it was.
func TopKeys(f alert.Fields) string {
	var keys []string
	for i := range f {
		key, _, _ := strings.Cut(strings.TrimPrefix(f[i].Pointer, "/"), "/")
		if len(key) > 40 {
			key = cutText(key, 40) + "…"
		}
		if keys = addDistinct(keys, key); len(keys) == 8 {
			break
		}
	}
	if len(keys) == 0 {
		return "none"
	}
	return strings.Join(keys, ", ")
}

// maxTitle and maxAnalytic bound texts that become keys and columns; a longer analytic ends in
// its hash, so that two stay two.
const (
	maxTitle    = 2048
	maxAnalytic = 512
)

// finish sets what is the same for every source.
func finish(a *alert.Alert, adapter Adapter, raw []byte, f alert.Fields) {
	a.Source = adapter.Descriptor().Name
	a.RawPayload = raw
	if a.Fields == nil {
		a.Fields = f
	}
	if a.ID == "" {
		a.ID = payloadID(raw)
	}
	if len(a.Title) > maxTitle {
		a.Title = cutText(a.Title, maxTitle) + "…"
	}
	a.Analytic = distinct(a.Analytic, maxAnalytic)
	bound(a)
	if a.EntitiesRaw == "" {
		a.EntitiesRaw = "[]"
	}
	a.Techniques = slices.DeleteFunc(a.Techniques, func(t string) bool { return !alert.IsTechniqueID(t) })
	a.Timestamp, a.EventStart, a.EventEnd = micro(a.Timestamp), micro(a.EventStart), micro(a.EventEnd)
	if a.Timestamp.IsZero() && !a.EventStart.IsZero() {
		a.Timestamp = a.EventStart
	}
	if a.EventEnd.Before(a.EventStart) {
		a.EventEnd = time.Time{}
	}
}

// Bounds of texts that come from the record, in bytes. The native bytes keep everything.
const (
	maxID          = 512
	maxText        = 2 << 10
	maxDescription = 64 << 10
	maxEntities    = 1 << 20
)

// bound keeps one hostile field from making a message that no later stage can take.
func bound(a *alert.Alert) {
	a.ID = distinct(a.ID, maxID)
	a.Description = cutText(a.Description, maxDescription)
	a.EntitiesRaw = cutText(a.EntitiesRaw, maxEntities)
	for _, s := range []*string{&a.Product, &a.NativeSeverity, &a.SourceTenant} {
		*s = cutText(*s, maxText)
	}
	for i := range a.Tactics {
		a.Tactics[i] = cutText(a.Tactics[i], maxText)
	}
	for i := range a.Discriminator {
		a.Discriminator[i] = distinct(a.Discriminator[i], maxText)
	}
	for i := range a.Links {
		a.Links[i].Value = distinct(a.Links[i].Value, maxText)
	}
}

// distinct cuts a text that identifies something; what is cut is kept apart by its hash.
func distinct(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return cutText(s, limit-33) + "#" + hex.EncodeToString(sum[:16])
}

func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// payloadID identifies a record without an id by the hash of its canonical form (RFC 8785 but
// for long integers, which keep their digits),
// so that the order of keys and white space do not matter; a payload that has no canonical
// form, for doubled keys, by the hash of its bytes.
func payloadID(raw []byte) string {
	v := jsontext.Value(slices.Clone(raw))
	if v.Canonicalize(jsontext.CanonicalizeRawInts(false)) != nil {
		v = raw
	}
	sum := sha256.Sum256(v)
	return "sha256:" + hex.EncodeToString(sum[:])
}
