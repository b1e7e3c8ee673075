// Package audit is the arithmetic of the audit trail: the closed list of event types, the
// canonical bytes of a record, the hash chain of a tenant, the RFC 6962 Merkle tree over the
// same bytes, the export file and the verifier. It does no I/O of its own, reads no clock and
// imports nothing of this module, so that every producer, the audit-service and a separate
// verifier share one implementation.
//
// A record is canonical JSON (RFC 8785 restricted to strings, booleans, arrays, objects and
// integers up to 2^53-1, with ASCII keys). Its hash is the SHA-256 of exactly the stored
// bytes and is not part of them; the Merkle leaf is made of the same bytes. Record 0 of a
// tenant is system.genesis, so the leaf index equals the sequence number.
package audit
