package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
)

// Fingerprint identifies the activity that an alert reports, so that repeats fold into one
// investigation (MECHANICS 2). It is made of tenant, source, analytic, the sorted distinct
// principal entities and the digest of the discriminating payload; never of timestamps,
// process ids, ephemeral ports or alert ids, and never of anything outside the alert.
func Fingerprint(a *Alert, entities []Entity) string {
	keys := make([]string, 0, len(entities))
	for i := range entities {
		if entities[i].Principal {
			keys = append(keys, entities[i].Key())
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)

	buf := make([]byte, 0, 512)
	buf = appendPart(buf, a.TenantID)
	buf = appendPart(buf, a.Source)
	analytic := a.Analytic
	if analytic == "" {
		analytic = strings.ToLower(a.Title)
	}
	buf = appendPart(buf, analytic)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(keys)))
	for _, k := range keys {
		buf = appendPart(buf, k)
	}
	digest := sha256.Sum256(discriminator(a.Discriminator))
	buf = append(buf, digest[:]...)
	sum := sha256.Sum256(buf)
	return "fp1:" + hex.EncodeToString(sum[:])
}

func discriminator(parts []string) []byte {
	var b []byte
	for _, p := range parts {
		b = appendPart(b, p)
	}
	return b
}

// appendPart appends s with its length, so that no two lists of parts read the same.
func appendPart(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
