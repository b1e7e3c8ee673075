package cloud

import (
	"errors"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/blobtest"
)

// movable is a clock that a test moves.
type movable struct {
	mu sync.Mutex
	at time.Time
}

func (c *movable) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *movable) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

func (c *movable) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

const prefix = "soc/aluskort"

// suite runs the suite; open opens what nothing is in yet.
func suite(t *testing.T, open func(t *testing.T, cfg Config) *Bucket) {
	blobtest.Run(t, func(t *testing.T) *blobtest.Fixture {
		c := &movable{at: time.Now().UTC().Truncate(time.Microsecond)}
		b := open(t, Config{Prefix: prefix, Clock: c})
		overwrite := func(key string) error {
			a, err := b.bucket.Attributes(t.Context(), key)
			if err != nil {
				return err
			}
			return b.bucket.WriteAll(t.Context(), key, []byte("Evidence"), &blob.WriterOptions{Metadata: a.Metadata})
		}
		return &blobtest.Fixture{
			Engine: b, Now: c.Now, Advance: c.advance,
			DamageContent: func(tenant, ref string) error {
				return overwrite(prefix + "/" + tenant + "/content/" + ref[7:9] + "/" + ref[7:])
			},
			DamageNamed: func(tenant, name string) error { return overwrite(prefix + "/" + tenant + "/named/" + name) },
		}
	})
}

func TestSuite(t *testing.T) {
	suite(t, func(t *testing.T, cfg Config) *Bucket {
		b, err := New(memblob.OpenBucket(nil), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// TestPolicyOfTheStore lets a store refuse a deletion that this program would have made.
func TestPolicyOfTheStore(t *testing.T) {
	for text, want := range map[string]error{
		"googleapi: Error 403: Object is subject to bucket's retention policy": contract.ErrRetained,
		"BlobImmutableDueToPolicy: 409 this operation is not permitted":        contract.ErrRetained,
		"403 Forbidden": contract.ErrUnavailable,
	} {
		if err := refusal("x", errors.New(text)); !errors.Is(err, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
