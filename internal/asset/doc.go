// Package asset knows the organisation: which names belong to one host or account, what its
// hosts are worth, and which activity its people expect, as org.yaml states it.
//
// Names resolve to one identity per tenant. Accounts of the system, accounts of machines,
// loopback and shared addresses are classes: they stand for no one and are never identities.
// Benign rules ask Org.Holds; what it answers can turn an alert into expected activity, so
// every comparison is of whole names, and doubt means no.
//
// Everything here is immutable once loaded and safe for concurrent use.
package asset
