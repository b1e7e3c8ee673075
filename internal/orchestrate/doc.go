// Package orchestrate runs investigations: it takes batches of normalised alerts off the bus,
// folds them, gathers evidence, decides, and commits state, journal and outgoing messages in
// one transaction; it also carries out what people decide and what timers demand.
//
// The fast path works on whole batches in memory and has no effect before its commit, so a
// crash only repeats work. Package investigate has the rules, package reason the arithmetic.
package orchestrate
