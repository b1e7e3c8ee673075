// Package canon brings text that an attacker may have written into the form in which it is
// searched: compatibility forms composed, invisible characters gone, letters of other scripts
// that pose as Latin ones folded. What an encoding hides (base64, hexadecimal, percent, HTML
// and backslash escapes, spaced letters, tag characters) becomes a view of its own.
//
// Work and memory are linear in the text, whatever it holds. True foreign text stays as it is:
// a letter is folded only inside a word that is otherwise Latin, or in a text whose every
// letter of that script is a look-alike.
package canon
