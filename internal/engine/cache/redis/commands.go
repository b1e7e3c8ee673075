package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aluskort/aluskort/internal/engine/cache"
)

// escaper keeps the parts of a key apart and the braces to the tenant.
var escaper = strings.NewReplacer("%", "%25", ":", "%3A", "{", "%7B", "}", "%7D")

func (c *Cache) key(s cache.Space, name string) string {
	return c.cfg.Prefix + ":{" + escaper.Replace(s.Tenant) + "}:" + s.Name + ":" + name
}

func (c *Cache) keys(s cache.Space, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = c.key(s, n)
	}
	return out
}

// Get implements cache.Cache.
func (c *Cache) Get(ctx context.Context, s cache.Space, name string) ([]byte, error) {
	if err := c.begin(ctx, s, name); err != nil {
		return nil, err
	}
	b, err := c.client.Get(ctx, c.key(s, name)).Bytes()
	if failed := c.outcome(ctx, err); failed != nil {
		return nil, failed
	}
	if errors.Is(err, redis.Nil) {
		return nil, cache.ErrMiss
	}
	return b, nil
}

// GetMany implements cache.Cache, in one request.
func (c *Cache) GetMany(ctx context.Context, s cache.Space, names []string) ([][]byte, error) {
	if err := c.begin(ctx, s, names...); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, nil
	}
	values, err := c.client.MGet(ctx, c.keys(s, names)...).Result()
	if err := c.outcome(ctx, err); err != nil {
		return nil, err
	}
	if len(values) != len(names) {
		return nil, fmt.Errorf("%w: redis answered %d values to %d keys", cache.ErrUnavailable, len(values), len(names))
	}
	out := make([][]byte, len(names))
	for i, v := range values {
		if text, ok := v.(string); ok {
			out[i] = []byte(text)
		}
	}
	return out, nil
}

// Set implements cache.Cache, in one request.
func (c *Cache) Set(ctx context.Context, s cache.Space, entries ...cache.Entry) error {
	if err := cache.CheckEntries(s, entries...); err != nil {
		return err
	}
	if err := c.begin(ctx, s); err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range entries {
			p.Set(ctx, c.key(s, entries[i].Name), entries[i].Value, whole(entries[i].Life))
		}
		return nil
	})
	return c.outcome(ctx, err)
}

// whole raises a time to live to the resolution of the server.
func whole(life time.Duration) time.Duration {
	return (life + time.Millisecond - 1).Truncate(time.Millisecond)
}

// Delete implements cache.Cache, in one request.
func (c *Cache) Delete(ctx context.Context, s cache.Space, names ...string) error {
	if err := c.begin(ctx, s, names...); err != nil {
		return err
	}
	if len(names) == 0 {
		return nil
	}
	return c.outcome(ctx, c.client.Del(ctx, c.keys(s, names)...).Err())
}

// Incr implements cache.Cache, in one transaction of the server.
func (c *Cache) Incr(ctx context.Context, s cache.Space, name string, by int64, life time.Duration) (int64, error) {
	if err := cache.CheckLife(life); err != nil {
		return 0, err
	}
	if err := c.begin(ctx, s, name); err != nil {
		return 0, err
	}
	key := c.key(s, name)
	var sum *redis.IntCmd
	_, err := c.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.SetNX(ctx, key, 0, whole(life))
		sum = p.IncrBy(ctx, key, by)
		return nil
	})
	if err := c.outcome(ctx, err); err != nil {
		return 0, err
	}
	return sum.Val(), nil
}

// exchange replaces a value that is what it should be.
var exchange = redis.NewScript(`if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
return 1`)

// CompareAndSet implements cache.Cache, in one script of the server.
func (c *Cache) CompareAndSet(ctx context.Context, s cache.Space, old []byte, e cache.Entry) (bool, error) {
	if err := cache.CheckEntries(s, e); err != nil {
		return false, err
	}
	if err := c.begin(ctx, s); err != nil {
		return false, err
	}
	key := c.key(s, e.Name)
	if old == nil {
		done, err := c.client.SetNX(ctx, key, e.Value, whole(e.Life)).Result()
		return done, c.outcome(ctx, err)
	}
	n, err := exchange.Run(ctx, c.client, []string{key}, old, e.Value, whole(e.Life).Milliseconds()).Int()
	return n == 1, c.outcome(ctx, err)
}
