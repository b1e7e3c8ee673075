// Package gateway is the context gateway: the only way to a language model. It takes a question
// with data from alerts, makes the data harmless (canonical text, injections screened out,
// secrets removed, personal data replaced by tokens), puts it into a marked block behind fixed
// instructions, has it answered within a budget, and lets an answer through only when it is
// complete, strict, cites what it was given and names nothing that was not offered. A broken
// answer is never repaired: it is refused, asked for once more, and then a person decides.
//
// What a model may change is decided elsewhere, from the typed answer (reason/opinion).
package gateway
