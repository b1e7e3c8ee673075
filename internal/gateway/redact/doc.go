// Package redact takes secrets and personal data out of text before it goes to a model, and puts
// the personal data back into the answer.
//
// Secrets go one way: a neutral word stands in their place and nothing remembers them. Names,
// addresses and the like become tokens such as USER-7KQXMTAB, which mean the same value in every
// text of one investigation, cannot be guessed, and are restored to the byte. What the text
// itself says in the form of a token becomes a token too, so that nothing in an alert can pass
// for one, and a token that a model invents restores nothing.
//
// Values are found by shape in one pass, and by name: a Session is told what the entity parser
// knows already (Known), and finds those values wherever they stand, in any case.
package redact
