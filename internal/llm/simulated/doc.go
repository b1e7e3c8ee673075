// Package simulated is a server that speaks the wire protocols of the model providers, with
// models behind it that need no weights: Analyst derives its answers from the evidence in the
// prompt, Obedient does whatever any text in its input says. Requests can be scripted to fail in
// every way in which providers are known to fail. Tests use it at the HTTP boundary; commands
// use it where the operator asks for a simulated model. Nothing in it is random.
package simulated
