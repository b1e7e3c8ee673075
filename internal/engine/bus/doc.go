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
// In production the members of a group share the partitions (cooperative, so that those which
// stay with their owner are not interrupted). A partition that goes to another member is finished
// first where that is possible, and fenced by the stored offset where it is not: see Consumer.
//
// Connections to a cluster use TLS and SASL as Config says; secrets and certificates are files
// that are read again for every connection. Every call ends in bounded time: 30 s for Produce
// without an earlier deadline. A connection that has died without a word is given up within 10 s.
//
// The data directory of an embedded bus belongs to one process at a time and is not locked here:
// the caller holds the file lock of the state directory before Open and until Close has returned.
// Two processes on one directory corrupt it without an error.
package bus
