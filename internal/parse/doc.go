// Package parse is the entity parser: it turns what a source states about an alert, its
// entity graph and its native fields, into typed and sanitised entities, and finds the
// indicators of compromise that stand in its texts.
//
// It has three parts that can be used alone. Scanner finds indicators in text in one pass.
// WarningLists says which values must not count as indicators. Parser puts both together
// with the entity graph and the adapter's descriptor.
//
// Everything the package reads may have been written by an attacker. Nothing panics, every
// amount of work is bounded, and what cannot be parsed is named in alert.Entities.Errors.
package parse
