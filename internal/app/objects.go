package app

import (
	"cmp"
	"context"
	"fmt"

	"github.com/aluskort/aluskort/internal/engine/blob/dir"
	"github.com/aluskort/aluskort/internal/engine/blob/s3"
)

// openObjects opens the object store of the configuration.
func (n *Node) openObjects(ctx context.Context) (err error) {
	c := n.opts.Config.Objects
	if c.S3.Bucket == "" {
		n.blobs, err = dir.Open(dir.Config{Root: cmp.Or(c.Dir, n.dir.Path("objects")), Clock: n.opts.Clock})
	} else {
		n.blobs, err = s3.Open(ctx, s3.Config{
			Endpoint: c.S3.Endpoint, Bucket: c.S3.Bucket, Prefix: c.S3.Prefix, Region: c.S3.Region, PathStyle: c.S3.PathStyle, Mode: s3.Mode(c.S3.Mode),
			AccessKeyFile: c.S3.AccessKeyFile, SecretKeyFile: c.S3.SecretKeyFile, CAFile: c.S3.CAFile, Clock: n.opts.Clock,
		})
	}
	if err != nil {
		n.blobs = nil
		return fmt.Errorf("open objects: %w", err)
	}
	n.closers = append(n.closers, n.blobs.Close)
	return nil
}
