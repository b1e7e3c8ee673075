package app

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/cloud"
	"github.com/aluskort/aluskort/internal/engine/blob/dir"
	"github.com/aluskort/aluskort/internal/engine/blob/queue"
	"github.com/aluskort/aluskort/internal/engine/blob/s3"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/ops"
)

// OpenObjects opens the object store of a configuration.
func OpenObjects(ctx context.Context, c *config.Config, clk clock.Clock) (e blob.Engine, err error) {
	o := &c.Objects
	switch {
	case o.S3.Bucket != "":
		e, err = s3.Open(ctx, s3.Config{
			Endpoint: o.S3.Endpoint, Bucket: o.S3.Bucket, Prefix: o.S3.Prefix, Region: o.S3.Region, PathStyle: o.S3.PathStyle, Mode: s3.Mode(o.S3.Mode),
			AccessKeyFile: o.S3.AccessKeyFile, SecretKeyFile: o.S3.SecretKeyFile, CAFile: o.S3.CAFile, Clock: clk,
		})
	case o.GCS.Bucket != "":
		e, err = cloud.OpenGCS(ctx, cloud.GCS{Bucket: o.GCS.Bucket, CredentialsFile: o.GCS.CredentialsFile}, cloud.Config{Prefix: o.GCS.Prefix, Clock: clk})
	case o.Azure.Container != "":
		e, err = cloud.OpenAzure(ctx, cloud.Azure{
			Account: o.Azure.Account, Container: o.Azure.Container, KeyFile: o.Azure.KeyFile, Domain: o.Azure.Domain,
		}, cloud.Config{Prefix: o.Azure.Prefix, Clock: clk})
	default:
		e, err = dir.Open(dir.Config{Root: objectFolder(c), Clock: clk})
	}
	if err != nil {
		return nil, fmt.Errorf("open objects: %w", err) // a nil engine of a type must not become one that is not nil
	}
	return e, nil
}

// ObjectPlace says where the objects of a configuration lie.
func ObjectPlace(c *config.Config) string {
	o := &c.Objects
	switch {
	case o.S3.Bucket != "":
		return "bucket " + o.S3.Bucket + " at " + o.S3.Endpoint
	case o.GCS.Bucket != "":
		return "bucket " + o.GCS.Bucket + " of Google Cloud Storage"
	case o.Azure.Container != "":
		return "container " + o.Azure.Container + " of the Azure account " + o.Azure.Account
	default:
		return "folder " + objectFolder(c)
	}
}

func objectFolder(c *config.Config) string {
	return cmp.Or(c.Objects.Dir, filepath.Join(c.State, "objects"))
}

// openObjects opens the object store. In front of one that can be away while the state database is
// not, there is a queue in that database.
func (n *Node) openObjects(ctx context.Context) error {
	open := n.opts.objects
	if open == nil {
		open = func(ctx context.Context) (blob.Engine, error) { return OpenObjects(ctx, n.config(), n.opts.Clock) }
	}
	if n.opts.objects == nil && !n.opts.Config.Objects.Elsewhere() {
		e, err := open(ctx)
		if err != nil {
			return err
		}
		n.blobs = e
		n.closers = append(n.closers, e.Close)
		return nil
	}
	q, err := queue.Open(ctx, queue.Config{
		Open: open, DB: n.State, Bytes: int64(n.opts.Config.Objects.QueueMB) << 20, Clock: n.opts.Clock, Log: n.opts.Log,
	})
	if err != nil {
		return err
	}
	n.blobs, n.queued = q, q
	n.closers = append(n.closers, q.Close)
	n.background = append(n.background, stage{"queue of objects", q.Run, always})
	return nil
}

// QueuedObjects tells how much waits for the object store in a state database.
func QueuedObjects(ctx context.Context, db store.DB) (queue.Depth, error) {
	return queue.Waiting(ctx, db)
}

// observeObjects adds the metrics of the queue before the object store.
func (n *Node) observeObjects(r *ops.Registry, ask func(func(context.Context) error)) {
	r.Collect("aluskort_objects_store_away", "1 while the object store does not answer and objects are queued.", ops.Gauge, nil, func(emit func(ops.Sample)) {
		away := 0.0
		if n.queued.Away() {
			away = 1
		}
		emit(ops.Sample{Value: away})
	})
	if n.State == nil {
		return
	}
	waiting := func(name, help string, value func(queue.Depth) float64) {
		r.Collect(name, help, ops.Gauge, nil, func(emit func(ops.Sample)) {
			ask(func(ctx context.Context) error {
				d, err := queue.Waiting(ctx, n.State)
				if err == nil {
					emit(ops.Sample{Value: value(d)})
				}
				return err
			})
		})
	}
	waiting("aluskort_objects_queued", "Objects that wait for the object store.", func(d queue.Depth) float64 { return float64(d.Objects) })
	waiting("aluskort_objects_queued_bytes", "Bytes that wait for the object store; writers are refused at objects.queue_mb.", func(d queue.Depth) float64 { return float64(d.Bytes) })
	waiting("aluskort_objects_queue_oldest_seconds", "Age of the oldest object that waits for the object store.", func(d queue.Depth) float64 {
		if d.Since.IsZero() {
			return 0
		}
		return n.opts.Clock.Now().Sub(d.Since).Seconds()
	})
}
