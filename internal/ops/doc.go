// Package ops is what every process shows of itself: liveness, readiness with its reasons, and
// metrics in the text format of Prometheus. A Registry and a Health belong to whoever makes
// them; there are no global ones, so that two processes' worth of parts can live in one test.
package ops
