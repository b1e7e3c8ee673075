package eval

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"strconv"
)

// addresses renames IP addresses: private stay private and public stay public, two addresses
// of one /24 (/16, /8) stay in one, network and broadcast numbers keep theirs, and special
// addresses (loopback, link-local, multicast, resolvers that everybody knows) stay.
type addresses struct {
	seed uint64
	keep func(netip.Addr) bool
}

func (a addresses) rename(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || a.keep(ip) {
		return ip
	}
	if ip.Is4() {
		return a.rename4(ip.As4())
	}
	return a.rename6(ip)
}

func (a addresses) rename4(b [4]byte) netip.Addr {
	if b[0] == 0 || b[0] >= 240 {
		return netip.AddrFrom4(b)
	}
	out := b
	fixed := 1 // bytes that name the class of the address
	switch {
	case b[0] == 192 && b[1] == 168, documentation(b), b[0] == 192 && b[1] == 0, b[0] == 198 && b[1]&^1 == 18:
		fixed = 2
	}
	if documentation(b) {
		fixed = 3
	}
	if fixed < 2 {
		out[1] = permute(a.key(b[:1]), b[1], secondBytes(b[0], b[1]))
	}
	if fixed < 3 {
		out[2] = permute(a.key(b[:2]), b[2], span(1, 254))
	}
	out[3] = permute(a.key(nil), b[3], span(2, 254)) // .0, .1 and .255 have meanings of their own
	return netip.AddrFrom4(out)
}

func documentation(b [4]byte) bool {
	return b[0] == 192 && b[1] == 0 && b[2] == 2 || b[0] == 198 && b[1] == 51 && b[2] == 100 || b[0] == 203 && b[1] == 0 && b[2] == 113
}

// secondBytes are those that are of the same class as second behind first.
func secondBytes(first, second byte) []byte {
	private := func(n byte) bool {
		switch first {
		case 172:
			return n >= 16 && n < 32
		case 100: // shared address space of carriers
			return n >= 64 && n < 128
		case 169:
			return n == 254
		case 192:
			return n == 168 || n == 0 || n == 88
		case 198:
			return n == 18 || n == 19 || n == 51
		case 203:
			return n == 0
		}
		return false
	}
	var out []byte
	for _, n := range span(0, 255) {
		if private(n) == private(second) {
			out = append(out, n)
		}
	}
	return out
}

func span(lo, hi int) []byte {
	out := make([]byte, 0, hi-lo+1)
	for n := lo; n <= hi; n++ {
		out = append(out, byte(n))
	}
	return out
}

// permute maps n to another of the set, one to one; what is not of the set stays.
func permute(key uint64, n byte, set []byte) byte {
	for i, x := range set {
		if x == n {
			return set[rand.New(rand.NewPCG(key, 1)).Perm(len(set))[i]]
		}
	}
	return n
}

func (a addresses) key(prefix []byte) uint64 { return hash(a.seed, string(prefix)) }

// rename6 keeps the first 16 bits and every zero group.
func (a addresses) rename6(ip netip.Addr) netip.Addr {
	b := ip.As16()
	out := b
	for i := 2; i < 16; i += 2 {
		g, k := binary.BigEndian.Uint16(b[i:]), uint16(a.key(b[:i])>>48)
		if g != 0 && g != k { // k stays, or it would become zero
			g ^= k
		}
		binary.BigEndian.PutUint16(out[i:], g)
	}
	return netip.AddrFrom16(out).WithZone(ip.Zone())
}

func hash(seed uint64, text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatUint(seed, 16) + "\x00" + text)) // never fails
	// FNV's high bits move little for short texts: mix them (the finaliser of SplitMix64).
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
