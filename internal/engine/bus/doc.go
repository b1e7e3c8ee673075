// Package bus is the message bus of the product: records, consumer positions and dead letters
// over the Kafka protocol.
//
// There is one code path. Embedded, Open starts a single-node broker inside the process, reached
// over an in-memory network with its data on disk, every acknowledged batch synced; in production
// the same client dials Kafka or Redpanda. The embedded broker has no replica and one partition
// per topic: it is one node and must be called so.
//
// Delivery is at least once. A consumer does its work, commits its own transaction together with
// Batch.Next, then calls Commit; after a crash the offset stored with the work wins over the one
// the broker knows (Config of the consumer: Offsets), so that neither can run ahead of the other.
// Every handler may therefore see a record twice and must not mind.
//
// The data directory of an embedded bus belongs to one process at a time and is not locked here:
// the caller holds the file lock of the state directory before Open and until Close has returned.
// Two processes on one directory corrupt it without an error.
package bus
