package registry

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/aluskort/aluskort/internal/llm"
)

//go:embed profile/*.yaml
var shipped embed.FS

// Bounds of a table that comes from outside.
const (
	maxDocument = 1 << 20
	maxModels   = 500
	maxRate     = 10_000 * int64(Dollar) // per million tokens
	maxFactor   = 10_000                 // permille
	maxContext  = 1 << 30
)

// Profiles returns the names of the tables that ship.
func Profiles() []string { return []string{"default", "local", "seed"} }

// Load returns a shipped profile with the operator's override laid over it. The override has
// the form of the profiles: a model that the profile has is changed in the fields that are
// given (prices as a whole), others are added; tiers and tasks likewise. An empty name means
// "default"; nil means no override. Errors wrap ErrInvalid.
func Load(profile string, override []byte) (*Table, error) {
	if profile == "" {
		profile = "default"
	}
	if !slices.Contains(Profiles(), profile) {
		return nil, fmt.Errorf("%w: unknown profile %q; known are %s", ErrInvalid, clip(profile), strings.Join(Profiles(), ", "))
	}
	b := newBuilder(profile)
	for _, name := range [...]string{"tasks", profile} {
		text, err := shipped.ReadFile("profile/" + name + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if err := b.add(text); err != nil {
			return nil, fmt.Errorf("%w: profile %s: %w", ErrInvalid, name, err)
		}
	}
	if err := b.add(override); err != nil {
		return nil, fmt.Errorf("%w: override: %w", ErrInvalid, err)
	}
	t, err := b.finish()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return t, nil
}

// usd is an amount per million tokens as it is written; factor is a multiple.
type (
	usd    Micro
	factor int64
)

// UnmarshalYAML implements yaml.Unmarshaler.
func (u *usd) UnmarshalYAML(n *yaml.Node) error { return scalar(n, 6, maxRate, (*int64)(u)) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (f *factor) UnmarshalYAML(n *yaml.Node) error { return scalar(n, 3, maxFactor, (*int64)(f)) }

func scalar(n *yaml.Node, places int, most int64, to *int64) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: want a number", n.Line)
	}
	v, err := decimal(n.Value, places)
	if err == nil && v > most {
		err = fmt.Errorf("%s is too large", clip(n.Value))
	}
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	*to = v
	return nil
}

// span is a duration such as 3s.
type span time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil || d <= 0 || d > 48*time.Hour {
		return fmt.Errorf("%q is not a duration such as 30s, at most 48h", clip(string(b)))
	}
	*s = span(d)
	return nil
}

type document struct {
	Profile string              `yaml:"profile"`
	AsOf    string              `yaml:"as_of"`
	Models  []modelDoc          `yaml:"models"`
	Tiers   map[Tier]tierDoc    `yaml:"tiers"`
	Tasks   map[string]*taskDoc `yaml:"tasks"`
}

type modelDoc struct {
	Provider  string       `yaml:"provider"`
	Name      string       `yaml:"name"`
	Aliases   []string     `yaml:"aliases"`
	Context   *int64       `yaml:"context"`
	MaxOutput *int         `yaml:"max_output"`
	JSON      *Reliability `yaml:"json"`
	Tools     *bool        `yaml:"tools"`
	Thinking  *bool        `yaml:"thinking"`
	Batch     *bool        `yaml:"batch"`
	Retires   string       `yaml:"retires"`
	Note      string       `yaml:"note"`
	Prices    []priceDoc   `yaml:"prices"`
}

type priceDoc struct {
	From         string    `yaml:"from"`
	Input        *usd      `yaml:"input"`
	Output       *usd      `yaml:"output"`
	Bands        []bandDoc `yaml:"bands"`
	CacheRead    *factor   `yaml:"cache_read_factor"`
	CacheWrite5m *factor   `yaml:"cache_write_5m_factor"`
	CacheWrite1h *factor   `yaml:"cache_write_1h_factor"`
	Batch        *factor   `yaml:"batch_factor"`
}

type bandDoc struct {
	UpTo   int64 `yaml:"up_to"`
	Input  *usd  `yaml:"input"`
	Output *usd  `yaml:"output"`
}

type tierDoc struct {
	Models    []string `yaml:"models"`
	MaxOutput *int     `yaml:"max_output"`
	Thinking  *int     `yaml:"thinking"`
	Latency   *span    `yaml:"latency"`
	Timeout   *span    `yaml:"timeout"`
}

type taskDoc struct {
	Tier       *Tier        `yaml:"tier"`
	JSON       *Reliability `yaml:"json"`
	Tools      *bool        `yaml:"tools"`
	MinContext *int64       `yaml:"min_context"`
	Latency    *span        `yaml:"latency"`
	MaxOutput  *int         `yaml:"max_output"`
	Thinking   *int         `yaml:"thinking"`
	Reasoning  *bool        `yaml:"reasoning"`
}

// builder lays documents over each other.
type builder struct{ t *Table }

func newBuilder(profile string) *builder {
	return &builder{&Table{profile: profile, index: map[Ref]int{}, tiers: map[Tier]TierSpec{}, tasks: map[llm.Task]TaskSpec{}}}
}

func (b *builder) add(text []byte) error {
	if len(text) > maxDocument {
		return fmt.Errorf("is %d bytes long, at most %d are allowed", len(text), maxDocument)
	}
	var d document
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	switch err := dec.Decode(&d); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("holds more than one document")
	}
	return errors.Join(b.head(&d), b.models(d.Models), b.tiers(d.Tiers), b.tasks(d.Tasks))
}

func (b *builder) head(d *document) error {
	if d.Profile != "" && d.Profile != b.t.profile {
		return fmt.Errorf("profile: is written for %q and used with %q", clip(d.Profile), b.t.profile)
	}
	at, err := day(d.AsOf)
	if err != nil {
		return fmt.Errorf("as_of: %w", err)
	}
	if !at.IsZero() {
		b.t.asOf = at
	}
	return nil
}

// day reads a date; empty is the zero time.
func day(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, s)
	if err != nil || at.Year() < 2000 {
		return time.Time{}, fmt.Errorf("%q is not a date such as 2026-10-07", clip(s))
	}
	return at, nil
}

func (b *builder) models(list []modelDoc) error {
	var errs []error
	seen := map[Ref]bool{}
	for i := range list {
		d := &list[i]
		ref, err := ParseRef(d.Provider + "/" + d.Name)
		if err == nil && seen[ref] {
			err = errors.New("stands twice in one document")
		}
		seen[ref] = true
		if err == nil {
			err = b.model(ref, d)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("models[%d] %s: %w", i, clip(d.Provider+"/"+d.Name), err))
		}
	}
	return errors.Join(errs...)
}

func (b *builder) model(ref Ref, d *modelDoc) error {
	m := Model{Ref: ref}
	at, have := b.t.index[ref]
	if have {
		m = b.t.models[at]
	}
	set(&m.Context, d.Context)
	set(&m.MaxOutput, d.MaxOutput)
	set(&m.JSON, d.JSON)
	set(&m.Tools, d.Tools)
	set(&m.Thinking, d.Thinking)
	set(&m.Batch, d.Batch)
	if d.Aliases != nil {
		m.Aliases = d.Aliases
	}
	if d.Note != "" {
		m.Note = d.Note
	}
	var err error
	if d.Retires != "" {
		if m.Retires, err = day(d.Retires); err != nil {
			return fmt.Errorf("retires: %w", err)
		}
	}
	if d.Prices != nil {
		if m.Prices, err = prices(d.Prices); err != nil {
			return err
		}
	}
	if err := checkModel(&m); err != nil {
		return err
	}
	if have {
		b.t.models[at] = m
		return nil
	}
	if len(b.t.models) == maxModels {
		return fmt.Errorf("a table holds at most %d models", maxModels)
	}
	b.t.index[ref] = len(b.t.models)
	b.t.models = append(b.t.models, m)
	return nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func checkModel(m *Model) error {
	if m.Context != 0 && (m.Context < 1024 || m.Context > maxContext) {
		return fmt.Errorf("context: %d is not between 1024 and %d", m.Context, maxContext)
	}
	if m.MaxOutput < 0 || m.Context > 0 && int64(m.MaxOutput) > m.Context {
		return fmt.Errorf("max_output: %d does not fit the context", m.MaxOutput)
	}
	for _, a := range m.Aliases {
		if !validModel(a) {
			return fmt.Errorf("aliases: %q is no name", clip(a))
		}
	}
	return nil
}

func prices(list []priceDoc) ([]Price, error) {
	out := make([]Price, 0, len(list))
	for i := range list {
		p, err := price(&list[i])
		if err != nil {
			return nil, fmt.Errorf("prices[%d]: %w", i, err)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Price) int { return a.From.Compare(b.From) })
	for i := 1; i < len(out); i++ {
		if out[i].From.Equal(out[i-1].From) {
			return nil, errors.New("prices: two begin on the same day")
		}
	}
	return out, nil
}

// price reads one price. A factor that is not given is 1: nothing is cheaper than stated.
func price(d *priceDoc) (Price, error) {
	p := Price{CacheRead: 1000, CacheWrite5m: 1000, CacheWrite1h: 1000, Batch: 1000}
	set(&p.CacheRead, (*int64)(d.CacheRead))
	set(&p.CacheWrite5m, (*int64)(d.CacheWrite5m))
	set(&p.CacheWrite1h, (*int64)(d.CacheWrite1h))
	set(&p.Batch, (*int64)(d.Batch))
	var err error
	if p.From, err = day(d.From); err != nil {
		return p, fmt.Errorf("from: %w", err)
	}
	list := d.Bands
	if d.Input != nil || d.Output != nil {
		if list != nil {
			return p, errors.New("give input and output, or bands, not both")
		}
		list = []bandDoc{{Input: d.Input, Output: d.Output}}
	}
	p.Bands, err = bands(list)
	return p, err
}

func bands(list []bandDoc) ([]Band, error) {
	if len(list) == 0 {
		return nil, errors.New("give input and output, 0 where a call costs nothing")
	}
	out := make([]Band, 0, len(list))
	for i, d := range list {
		last := i == len(list)-1
		switch {
		case d.Input == nil || d.Output == nil:
			return nil, errors.New("give both input and output")
		case last != (d.UpTo == 0):
			return nil, errors.New("every band but the last has up_to")
		case d.UpTo < 0 || d.UpTo > maxContext || i > 0 && !last && d.UpTo <= out[i-1].UpTo:
			return nil, fmt.Errorf("up_to: %d does not ascend", d.UpTo)
		}
		out = append(out, Band{UpTo: d.UpTo, Input: Micro(*d.Input), Output: Micro(*d.Output)})
	}
	return out, nil
}

func (b *builder) tiers(docs map[Tier]tierDoc) error {
	var errs []error
	for name, d := range docs {
		if err := b.tier(name, &d); err != nil {
			errs = append(errs, fmt.Errorf("tiers.%s: %w", clip(string(name)), err))
		}
	}
	return errors.Join(errs...)
}

func (b *builder) tier(name Tier, d *tierDoc) error {
	if !name.Known() {
		return errors.New("unknown tier; known are T0, T1, T1+, T2")
	}
	s := b.t.tiers[name]
	set(&s.MaxOutput, d.MaxOutput)
	set(&s.Thinking, d.Thinking)
	set(&s.Latency, (*time.Duration)(d.Latency))
	set(&s.Timeout, (*time.Duration)(d.Timeout))
	if d.Models != nil {
		s.Models = nil
	}
	for _, text := range d.Models {
		ref, err := ParseRef(text)
		if err != nil {
			return err
		}
		if slices.Contains(s.Models, ref) {
			return fmt.Errorf("%s stands twice", ref)
		}
		s.Models = append(s.Models, ref)
	}
	if s.MaxOutput < 1 || s.MaxOutput > maxContext || s.Thinking < 0 || s.Thinking >= s.MaxOutput {
		return fmt.Errorf("max_output %d and thinking %d do not go together", s.MaxOutput, s.Thinking)
	}
	b.t.tiers[name] = s
	return nil
}

func (b *builder) tasks(docs map[string]*taskDoc) error {
	var errs []error
	for name, d := range docs {
		if err := b.task(llm.Task(name), d); err != nil {
			errs = append(errs, fmt.Errorf("tasks.%s: %w", clip(name), err))
		}
	}
	return errors.Join(errs...)
}

func (b *builder) task(name llm.Task, d *taskDoc) error {
	if d == nil || name == "" || len(name) > 64 {
		return errors.New("is empty")
	}
	s := b.t.tasks[name]
	set(&s.Tier, d.Tier)
	set(&s.JSON, d.JSON)
	set(&s.Tools, d.Tools)
	set(&s.MinContext, d.MinContext)
	set(&s.Latency, (*time.Duration)(d.Latency))
	set(&s.MaxOutput, d.MaxOutput)
	set(&s.Thinking, d.Thinking)
	set(&s.Reasoning, d.Reasoning)
	switch {
	case !s.Tier.Known():
		return fmt.Errorf("tier %q is unknown", clip(string(s.Tier)))
	case s.JSON == Unstated:
		return errors.New("give json (low, medium, high)")
	case s.MinContext < 1 || s.MinContext > maxContext:
		return fmt.Errorf("min_context: %d is out of range", s.MinContext)
	case s.MaxOutput < 1 || s.MaxOutput > maxContext || s.Thinking < 0 || s.Thinking >= s.MaxOutput:
		return fmt.Errorf("max_output %d and thinking %d do not go together", s.MaxOutput, s.Thinking)
	}
	b.t.tasks[name] = s
	return nil
}

// finish checks what only the whole can show.
func (b *builder) finish() (*Table, error) {
	t := b.t
	var errs []error
	for _, name := range Tiers() {
		s := t.tiers[name]
		if s.Models == nil {
			for i := range t.models {
				s.Models = append(s.Models, t.models[i].Ref)
			}
			t.tiers[name] = s
		}
		for _, ref := range s.Models {
			if _, err := t.Model(ref); err != nil {
				errs = append(errs, fmt.Errorf("tiers.%s: no model %s", name, ref))
			}
		}
	}
	return t, errors.Join(errs...)
}

func validProvider(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func validModel(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
