// Package ops is what every process shows of itself: health, readiness and metrics.
package ops
