package gateway

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// Bounds of what is put before a model, in bytes of text. Alerts are read whole; beyond the
// budget the least important fields are left out, which is said in the data and in the record.
const (
	maxFieldBytes     = 2 << 10
	maxStatementBytes = 512
	maxItems          = 200
	maxChoices        = 40
)

// prompt is a question made ready: harmless text, codes for everything that may be named.
type prompt struct {
	id     string // request id
	marker string
	mark   string // joins the words of quoted text
	canary string

	text []byte // the data block, until message has taken it
	// evidence and fields resolve the codes E… and F…, choices A….
	evidence map[string]string
	fields   map[string]string
	choices  map[string]int
	// subjects are what tools may be asked about: stand-in → value.
	subjects map[string]subject

	session Redaction
	// suspects are the texts of which the sensor is not sure; condemned are those that a judge was.
	suspects  []suspect
	condemned map[fingerprint]bool

	injected []string // kinds of injections that were found
	steering int      // texts in which one was
	hidden   int      // fields whose text was put aside whole
	omitted  int      // fields and items left out for length
}

type subject struct {
	account bool
	value   string
}

// document is the data block. Names of members are ours; every string value is quoted material.
type document struct {
	Facts    map[string]string `json:"facts"`
	Evidence []itemDoc         `json:"evidence,omitempty"`
	Fields   []fieldDoc        `json:"fields,omitempty"`
	Entities []entityDoc       `json:"entities,omitempty"`
	Actions  []actionDoc       `json:"actions,omitempty"`
	Omitted  int               `json:"omitted,omitzero"`
}

type itemDoc struct {
	Code   string  `json:"id"`
	Kind   string  `json:"kind"`
	Bits   float64 `json:"bits"`
	States string  `json:"states"`
}

type fieldDoc struct {
	Code string `json:"id"`
	Path string `json:"path"`
	Text string `json:"text"`
}

type entityDoc struct {
	Type  string `json:"type"`
	Value string `json:"value"`
	Role  string `json:"role,omitempty"`
}

type actionDoc struct {
	Code   string `json:"id"`
	Action string `json:"action"`
	Target string `json:"target"`
}

// marks may join the words of quoted text; one that no text holds is chosen per request.
var marks = []string{"ˆ", "˜", "¸", "˙", "¬", "¦", "¤", "ˇ", "˛", "·"}

// assemble makes a question ready. The result depends on the question and on what random gives.
func (g *Gateway) assemble(q *Question, session Redaction, random io.Reader, budget int) (*prompt, error) {
	return g.assembleBut(q, session, random, budget, nil)
}

// assembleBut puts aside texts that were judged.
func (g *Gateway) assembleBut(q *Question, session Redaction, random io.Reader, budget int, condemned map[fingerprint]bool) (*prompt, error) {
	p := &prompt{
		session: session, condemned: condemned, evidence: map[string]string{}, fields: map[string]string{},
		choices: map[string]int{}, subjects: map[string]subject{},
	}
	if err := p.secrets(random); err != nil {
		return nil, err
	}
	p.mark = pickMark(q, p.marker)
	left := budget
	doc := document{Facts: map[string]string{}}
	for _, f := range q.Facts {
		doc.Facts[identifier(f.Name)] = g.quote(p, f.Name, f.Value, maxStatementBytes, &left)
	}
	g.addEvidence(p, &doc, q.Evidence, &left)
	g.addEntities(p, &doc, q.Entities)
	for i, c := range q.Choices[:min(len(q.Choices), maxChoices)] {
		code := fmt.Sprintf("A%d", i+1)
		p.choices[code] = i
		doc.Actions = append(doc.Actions, actionDoc{code, c.Action, g.quote(p, "", c.Target, maxStatementBytes, &left)})
	}
	g.addFields(p, &doc, q.Fields, &left)
	doc.Omitted = p.omitted
	b, err := json.Marshal(&doc, json.Deterministic(true), jsontext.EscapeForHTML(true), jsontext.Multiline(false))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	p.text = b
	return p, nil
}

// secrets draws what no text of the question can know.
func (p *prompt) secrets(random io.Reader) error {
	var b [26]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return fmt.Errorf("gateway: randomness: %w", err)
	}
	p.id, p.marker, p.canary = hex.EncodeToString(b[:8]), "data-"+hex.EncodeToString(b[8:16]), hex.EncodeToString(b[16:])
	return nil
}

// pickMark chooses a separator that no text of the question holds.
func pickMark(q *Question, seed string) string {
	at := 0
	for i := range len(seed) {
		at = (at*31 + int(seed[i])) % len(marks)
	}
	for i := range marks {
		m := marks[(at+i)%len(marks)]
		if !holds(q, m) {
			return m
		}
	}
	return "^" + seed[len(seed)-2:] + "^"
}

func holds(q *Question, mark string) bool {
	for i := range q.Facts {
		if strings.Contains(q.Facts[i].Value, mark) {
			return true
		}
	}
	for i := range q.Fields {
		if strings.Contains(q.Fields[i].Text, mark) {
			return true
		}
	}
	return slices.ContainsFunc(q.Evidence, func(e evidence.Evidence) bool { return strings.Contains(e.Statement, mark) })
}

// quote makes text of an alert fit to stand in the data: cut at a rune, screened, redacted, its
// blanks joined by the mark. name is that of the field; left is what remains of the budget.
func (g *Gateway) quote(p *prompt, name, text string, limit int, left *int) string {
	whole := text
	text = cutText(text, min(limit, max(*left, 64)))
	s := g.cfg.Screen(text)
	if s.Injected {
		p.steering++
		g.suspected(p, name, whole, &s)
		for _, k := range s.Kinds {
			if !slices.Contains(p.injected, k) {
				p.injected = append(p.injected, k)
			}
		}
		if s.Hidden {
			p.hidden++
		}
	}
	text = p.session.RedactField(name, s.Text)
	text = strings.ReplaceAll(text, " ", p.mark)
	*left -= len(text)
	return text
}

// cutText cuts at a word where one ends near the limit, else at a rune.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	if at := strings.LastIndexByte(s[:end], ' '); at > end*3/4 {
		end = at
	}
	return s[:end] + "…"
}

// identifier keeps what is ours ours: letters, digits, dots, dashes and slashes of a bounded name.
func identifier(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./_-~@", r)) {
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 160)]
}

func (g *Gateway) addEvidence(p *prompt, doc *document, items []evidence.Evidence, left *int) {
	sorted := slices.Clone(items)
	slices.SortStableFunc(sorted, func(a, b evidence.Evidence) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Counted), math.Abs(a.Counted)), cmp.Compare(a.ID, b.ID))
	})
	for i := range sorted {
		e := &sorted[i]
		if i == maxItems || *left <= 0 {
			p.omitted += len(sorted) - i
			return
		}
		code := fmt.Sprintf("E%d", i+1)
		p.evidence[code] = e.ID
		doc.Evidence = append(doc.Evidence, itemDoc{code, identifier(e.Kind), e.Counted, g.quote(p, "", e.Statement, maxStatementBytes, left)})
	}
}

func (g *Gateway) addEntities(p *prompt, doc *document, entities []alert.Entity) {
	for i := range entities {
		e := &entities[i]
		if len(doc.Entities) == maxItems {
			p.omitted += len(entities) - i
			return
		}
		unbounded := maxStatementBytes
		value := g.quote(p, string(e.Type), e.Value, maxStatementBytes, &unbounded)
		p.subjects[value] = subject{account: e.Type == alert.Account, value: e.Value}
		doc.Entities = append(doc.Entities, entityDoc{string(e.Type), value, string(e.Role)})
	}
}

func (g *Gateway) addFields(p *prompt, doc *document, fields []Field, left *int) {
	sorted := slices.Clone(fields)
	slices.SortStableFunc(sorted, func(a, b Field) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Ref, b.Ref))
	})
	for i, f := range sorted {
		if i == maxItems || *left <= 0 {
			p.omitted += len(sorted) - i
			return
		}
		code := fmt.Sprintf("F%d", i+1)
		p.fields[code] = f.Ref
		// The names of members were chosen by whoever wrote the record.
		path := g.quote(p, "", identifier(f.Ref), 160, left)
		doc.Fields = append(doc.Fields, fieldDoc{code, path, g.quote(p, f.Ref, f.Text, maxFieldBytes, left)})
	}
}

// message is the turn of the user that carries the data. It takes the data block: a question that
// waits for its answer holds its text once.
func (p *prompt) message(task Task) string {
	var b strings.Builder
	b.Grow(len(p.text) + 512)
	fmt.Fprintf(&b, "Task %s. Request id: %s. Separator of words in quoted material: %s. Reference (never repeat it): %s.\n", task, p.id, p.mark, p.canary)
	fmt.Fprintf(&b, "%s begin\n", p.marker)
	b.Write(p.text)
	p.text = nil
	fmt.Fprintf(&b, "\n%s end\n", p.marker)
	fmt.Fprintf(&b, "Answer about the data above, for request %s, as one JSON object.", p.id)
	return b.String()
}
