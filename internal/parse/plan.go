package parse

import (
	"strings"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/ingest"
)

// maxPaths bounds the paths a plan remembers: keys of a record may be chosen by an attacker.
const maxPaths = 4096

// plan is what a descriptor says about native paths, resolved once per path. It is safe for
// concurrent use: the map is replaced, never changed.
type plan struct {
	d      *ingest.Descriptor
	byPath atomic.Pointer[map[string]pathPlan]
}

// pathPlan says what to do with the leaves of one path.
type pathPlan struct {
	entities []*ingest.EntityPath
	scan     bool
	version  bool // versions stand here: what looks like an address is none
}

func newPlan(d *ingest.Descriptor) *plan {
	if d == nil {
		d = &ingest.Descriptor{}
	}
	p := &plan{d: d}
	p.byPath.Store(&map[string]pathPlan{})
	return p
}

// resolve works out what the descriptor says about a path.
func (p *plan) resolve(path string) pathPlan {
	var x pathPlan
	for i := range p.d.Entities {
		if p.d.Entities[i].Path == path {
			x.entities = append(x.entities, &p.d.Entities[i])
		}
	}
	x.scan = len(p.d.Text) == 0
	for _, pattern := range p.d.Text {
		x.scan = x.scan || matchesPath(pattern, path, false)
	}
	for _, pattern := range p.d.Skip {
		x.scan = x.scan && !matchesPath(pattern, path, true)
	}
	last := strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])
	x.version = strings.HasSuffix(last, "version") || last == "build" || last == "release" || last == "oid"
	return x
}

// matchesPath says whether a path is the pattern or, with ".*" or when below is set, lies
// below it.
func matchesPath(pattern, path string, below bool) bool {
	if prefix, ok := strings.CutSuffix(pattern, ".*"); ok {
		pattern, below = prefix, true
	}
	if !strings.HasPrefix(path, pattern) {
		return pattern == "*"
	}
	return len(path) == len(pattern) || below && path[len(pattern)] == '.'
}

// learn adds newly resolved paths.
func (p *plan) learn(fresh map[string]pathPlan) {
	for {
		old := p.byPath.Load()
		if len(*old)+len(fresh) > maxPaths {
			return
		}
		merged := make(map[string]pathPlan, len(*old)+len(fresh))
		for k, v := range *old {
			merged[k] = v
		}
		for k, v := range fresh {
			merged[k] = v
		}
		if p.byPath.CompareAndSwap(old, &merged) {
			return
		}
	}
}
