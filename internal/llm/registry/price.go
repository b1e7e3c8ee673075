package registry

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/llm"
)

// Micro is an amount of money in micro-USD.
type Micro int64

// Dollar is one USD.
const Dollar Micro = 1_000_000

// String returns the amount in USD with six decimals.
func (m Micro) String() string {
	sign := ""
	u := uint64(m)
	if m < 0 {
		sign, u = "-", -u
	}
	return fmt.Sprintf("%s$%d.%06d", sign, u/uint64(Dollar), u%uint64(Dollar))
}

// Price is what a model costs from a day on. Rates of the cache are parts per thousand of the
// input rate, Batch is one of everything.
type Price struct {
	From         time.Time `json:"from,omitzero"` // zero: since ever
	Bands        []Band    `json:"bands"`
	CacheRead    int64     `json:"cache_read_permille"`
	CacheWrite5m int64     `json:"cache_write_5m_permille"`
	CacheWrite1h int64     `json:"cache_write_1h_permille"`
	Batch        int64     `json:"batch_permille"`
}

// Band is the rate for prompts up to a length; all tokens of the call are billed at it.
type Band struct {
	UpTo   int64 `json:"up_to,omitempty"` // tokens of the prompt, inclusive; 0 in the last band: no bound
	Input  Micro `json:"input"`           // per million tokens
	Output Micro `json:"output"`          // per million tokens
}

// Terms are the conditions of one call.
type Terms struct {
	Batch bool // through the provider's batch interface
	Hour  bool // cache entries live an hour instead of five minutes
}

// PriceAt returns the price in force at that time.
func (m *Model) PriceAt(at time.Time) (*Price, error) {
	for i := len(m.Prices) - 1; i >= 0; i-- {
		if p := &m.Prices[i]; !at.Before(p.From) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: %s on %s", ErrNoPrice, m.Ref, at.UTC().Format(time.DateOnly))
}

func (p *Price) band(prompt int64) Band {
	for _, b := range p.Bands {
		if b.UpTo == 0 || prompt <= b.UpTo {
			return b
		}
	}
	return p.Bands[len(p.Bands)-1]
}

// MaxTokens bounds every number of a usage; no model comes near it.
const MaxTokens = 1 << 40

// Cost returns what a call cost. It fails with ErrNoModel, ErrNoPrice or ErrUsage, and then
// says nothing about the amount.
func (t *Table) Cost(u llm.Usage, ref Ref, at time.Time, terms Terms) (Micro, error) {
	m, err := t.Answered(ref)
	if err != nil {
		return 0, err
	}
	p, err := m.PriceAt(at)
	if err != nil {
		return 0, err
	}
	for _, n := range [...]int64{u.Input, u.Output, u.CacheRead, u.CacheWrite} {
		if n < 0 || n > MaxTokens {
			return 0, fmt.Errorf("%w: %d tokens", ErrUsage, n)
		}
	}
	return p.cost(u, p.band(u.Prompt()), terms), nil
}

func (p *Price) cost(u llm.Usage, b Band, terms Terms) Micro {
	write := p.CacheWrite5m
	if terms.Hour {
		write = p.CacheWrite1h
	}
	sum := new(big.Int)
	add := func(tokens int64, rate Micro, permille int64) {
		n := big.NewInt(tokens)
		sum.Add(sum, n.Mul(n, big.NewInt(int64(rate))).Mul(n, big.NewInt(permille)))
	}
	add(u.Input, b.Input, 1000)
	add(u.CacheRead, b.Input, p.CacheRead)
	add(u.CacheWrite, b.Input, write)
	add(u.Output, b.Output, 1000)
	batch := int64(1000)
	if terms.Batch {
		batch = p.Batch
	}
	sum.Mul(sum, big.NewInt(batch))
	return roundUp(sum)
}

// roundUp divides by a million tokens and the two parts per thousand.
func roundUp(sum *big.Int) Micro {
	rest := new(big.Int)
	sum.QuoRem(sum, big.NewInt(1_000_000_000_000), rest)
	if rest.Sign() > 0 {
		sum.Add(sum, big.NewInt(1))
	}
	if !sum.IsInt64() {
		return math.MaxInt64
	}
	return Micro(sum.Int64())
}

// Estimate returns the most that a call can cost with a prompt of at most prompt tokens and an
// answer of at most output: the dearest band in reach, and all of the prompt written to the
// cache where that costs more than plain input.
func (t *Table) Estimate(ref Ref, prompt, output int64, at time.Time, terms Terms) (Micro, error) {
	m, err := t.Model(ref)
	if err != nil {
		return 0, err
	}
	p, err := m.PriceAt(at)
	if err != nil {
		return 0, err
	}
	if prompt < 0 || prompt > MaxTokens || output < 0 || output > MaxTokens {
		return 0, fmt.Errorf("%w: a prompt of %d and an answer of %d tokens", ErrUsage, prompt, output)
	}
	var most Micro
	for _, b := range p.Bands {
		top := prompt
		if b.UpTo > 0 {
			top = min(top, b.UpTo)
		}
		for _, u := range [...]llm.Usage{
			{Input: top, Output: output}, {CacheWrite: top, Output: output}, {CacheRead: top, Output: output},
		} {
			most = max(most, p.cost(u, b, terms))
		}
		if b.UpTo >= prompt {
			break
		}
	}
	return most, nil
}

// Overhead of a prompt beyond its bytes: what a provider adds around a call, a message and tools.
const (
	callOverhead    = 64
	messageOverhead = 16
	toolsOverhead   = 1024
)

// PromptBound returns the most tokens that the prompt of r can have: a token is at least one
// byte long. It is what a reservation counts with.
func PromptBound(r *llm.Request) int64 {
	bytes, parts := promptSize(r)
	return bytes + parts
}

// PromptGuess returns about how many tokens the prompt of r has, rather too many: text of logs
// has two and a half to four bytes a token. It is what routing counts with.
func PromptGuess(r *llm.Request) int64 {
	bytes, parts := promptSize(r)
	return (bytes*2+4)/5 + parts
}

func promptSize(r *llm.Request) (bytes, overhead int64) {
	n := len(r.System)
	overhead = callOverhead + int64(len(r.Messages))*messageOverhead
	for i := range r.Messages {
		m := &r.Messages[i]
		n += len(m.Text) + len(m.Opaque)
		for _, c := range m.Calls {
			n += len(c.ID) + len(c.Name) + len(c.Input)
		}
		for _, x := range m.Results {
			n += len(x.CallID) + len(x.Text)
		}
		overhead += int64(len(m.Calls)+len(m.Results)) * messageOverhead
	}
	for _, tool := range r.Tools {
		n += len(tool.Name) + len(tool.Description) + len(tool.Input)
	}
	if r.Answer != nil {
		n += len(r.Answer.Name) + len(r.Answer.JSON)
	}
	if len(r.Tools) > 0 || r.Answer != nil {
		overhead += toolsOverhead
	}
	return int64(n), overhead
}

// decimal reads a plain decimal number and returns it times ten to the places. It refuses
// signs, exponents, other bases and more places, so that no amount is rounded when it is read.
func decimal(s string, places int) (int64, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if whole == "" || len(whole) > 9 || len(frac) > places || dotted && frac == "" {
		return 0, fmt.Errorf("%q is not a plain decimal number with at most %d places", clip(s), places)
	}
	digits := whole + frac + strings.Repeat("0", places-len(frac))
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a plain decimal number", clip(s))
		}
	}
	return strconv.ParseInt(digits, 10, 64)
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
