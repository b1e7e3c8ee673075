package intel

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// Builder collects indicators for an Index. It is not safe for concurrent use and must not
// be used after Build.
type Builder struct {
	index  *Index
	abouts map[string]uint32
	hint   int
}

// NewBuilder returns an empty builder. The hint is the expected number of indicators.
func NewBuilder(hint int) *Builder {
	return &Builder{
		index: &Index{
			seed:    [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
			tenants: map[string]*table{},
		},
		abouts: map[string]uint32{},
		hint:   min(max(hint, 0), 1<<24),
	}
}

func (b *Builder) table(tenant string) *table {
	t := b.index.tenants[tenant]
	if t == nil {
		t = &table{exact: make(map[key]row, b.hint)}
		b.hint = 0 // the first tenant is the large one; the others grow
		b.index.tenants[tenant] = t
	}
	return t
}

// Imported notes that something was imported for the tenant, whatever is left of it.
func (b *Builder) Imported(tenant string) { b.table(tenant).imported = true }

// Add takes an indicator in canonical form. Of two rows that meet in one key, such as the
// http and the https form of a URL, the one with the higher confidence stays.
func (b *Builder) Add(tenant string, i *Indicator) {
	f := familyOf(i.Type)
	if f == 0 || i.Value == "" {
		return
	}
	t := b.table(tenant)
	t.imported = true
	r := row{
		about: b.about(i), first: toSeconds(i.FirstSeen), last: toSeconds(i.LastSeen), expiry: toSeconds(i.Expiry),
		confidence: uint8(min(max(i.Confidence, 0), 100)), severity: i.Severity,
	}
	if f == famAddress {
		b.addAddress(t, i.Value, r)
		return
	}
	b.put(t, b.index.key(f, f.fold(i.Value)), r)
}

func (b *Builder) addAddress(t *table, value string, r row) {
	if p, err := netip.ParsePrefix(value); err == nil {
		if t.networks == nil {
			t.networks = new(bart.Table[row])
		}
		if old, ok := t.networks.Get(p); !ok {
			b.index.size++
		} else if old.confidence > r.confidence {
			return
		}
		t.networks.Insert(p, r)
		return
	}
	if a, err := netip.ParseAddr(value); err == nil {
		b.put(t, b.index.addressKey(a.Unmap()), r)
	}
}

func (b *Builder) put(t *table, k key, r row) {
	old, ok := t.exact[k]
	if ok && old.confidence > r.confidence {
		return
	}
	if !ok {
		b.index.size++
	}
	t.exact[k] = r
}

// about keeps each distinct set of names once.
func (b *Builder) about(i *Indicator) uint32 {
	var k strings.Builder
	for _, list := range [...][]string{i.Sources, i.Campaigns, i.Groups, i.Techniques} {
		for _, s := range list {
			k.WriteString(s)
			k.WriteByte(0)
		}
		k.WriteByte(1)
	}
	if n, ok := b.abouts[k.String()]; ok {
		return n
	}
	n := uint32(len(b.index.abouts))
	b.index.abouts = append(b.index.abouts, About{
		Sources: slices.Clone(i.Sources), Campaigns: slices.Clone(i.Campaigns),
		Groups: slices.Clone(i.Groups), Techniques: slices.Clone(i.Techniques),
	})
	b.abouts[k.String()] = n
	return n
}

// Build returns the index.
func (b *Builder) Build() *Index {
	x := b.index
	b.index, b.abouts = nil, nil
	return x
}

// Live is the index in use. Readers take it without waiting while a new one is swapped in.
// The zero value has none. It is safe for concurrent use.
type Live struct {
	index   atomic.Pointer[Index]
	failure atomic.Pointer[string]
	// refresh is held from the reading of the rows until they are in use, so that what was read
	// earlier never comes after what was read later.
	refresh sync.Mutex
	// resident says that Refresh leaves out what Remote asks for.
	resident bool
}

// NewLive returns a Live without an index.
func NewLive() *Live { return new(Live) }

// NewResident returns a Live for Remote: Refresh gives it the rows that are always in memory, and the
// number of all.
func NewResident() *Live { return &Live{resident: true} }

// Swap puts a new index into use.
func (l *Live) Swap(x *Index) {
	l.failure.Store(nil)
	l.index.Store(x)
}

// Fail notes why a new index could not be made. An older one stays in use.
func (l *Live) Fail(err error) {
	why := err.Error()
	l.failure.Store(&why)
}

// Index returns the index in use. It is nil when there never was one; blind then says why.
func (l *Live) Index() (x *Index, blind string) {
	if x = l.index.Load(); x != nil {
		return x, ""
	}
	if why := l.failure.Load(); why != nil {
		return nil, "indicators could not be loaded: " + *why
	}
	return nil, "indicators are not loaded yet"
}
