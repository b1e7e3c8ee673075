package simulated

import (
	"crypto/sha256"
	"io"
	"strconv"
	"time"

	"github.com/aluskort/aluskort/internal/llm"
)

// tokens estimates the length of a text in tokens, as vendors advise: four bytes a token.
func tokens(n int) int64 { return int64(n+3) / 4 }

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// promptLength returns the bytes of the part that can be cached, tools and system, and of the rest.
func promptLength(r *llm.Request) (fixed, rest int) {
	for _, t := range r.Tools {
		fixed += len(t.Name) + len(t.Description) + len(t.Input)
	}
	fixed += len(r.System)
	if r.Answer != nil {
		rest += len(r.Answer.JSON)
	}
	for _, m := range r.Messages {
		rest += len(m.Text) + len(m.Opaque)
		for _, c := range m.Calls {
			rest += len(c.Name) + len(c.Input)
		}
		for _, t := range m.Results {
			rest += len(t.Text)
		}
	}
	return fixed, rest
}

// minCached is the shortest prompt that is cached, in tokens.
const minCached = 1024

// bill fills in the usage of an answer. With marked, the fixed part is cached when it is long
// enough; writes says whether writing is billed apart.
func (s *Server) bill(r *llm.Request, a *llm.Response, marked, writes bool) {
	if a.Usage.Known {
		return
	}
	fixed, rest := promptLength(r)
	u := llm.Usage{Known: true, Input: tokens(fixed + rest), Output: max(1, outputTokens(a))}
	if cacheable := tokens(fixed); marked && cacheable >= minCached {
		switch {
		case s.remembers(cacheKey(r)):
			u.CacheRead = cacheable
		case writes:
			u.CacheWrite = cacheable
		}
		u.Input -= u.CacheRead + u.CacheWrite
	}
	a.Usage = u
}

// cacheKey tells prompts apart that share nothing in the cache.
func cacheKey(r *llm.Request) [sha256.Size]byte {
	h := sha256.New()
	part := func(s string) {
		_, _ = io.WriteString(h, s) // a hash takes everything
		_, _ = h.Write([]byte{0})
	}
	part(r.Model)
	part(r.System)
	for _, t := range r.Tools {
		part(t.Name)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func outputTokens(a *llm.Response) int64 {
	n := len(a.Text) + len(a.Opaque)
	for _, c := range a.Calls {
		n += len(c.Name) + len(c.Input)
	}
	return tokens(n)
}
