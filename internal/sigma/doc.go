// Package sigma loads, compiles and matches Sigma rules.
//
// # What is supported
//
// Rules follow the Sigma rules specification 2.x: title, id, name, related, taxonomy, status,
// description, license, references, author, date, modified, logsource, detection, fields,
// falsepositives, level, tags, scope. Other top-level keys are kept in Rule.Extra. A file may
// hold several documents. The block "aluskort:" says what a match is worth as evidence
// (see Rule).
//
// Detections: maps (and), lists of maps (or), lists of values (or; and with "all"), keywords
// over every value of the event, null, the empty string, numbers, wildcards * and ? with the
// escapes of the specification. Modifiers: contains, startswith, endswith, all, cased, exists,
// neq, windash, re (i, m, s), base64, base64offset, utf16le, wide, utf16be, utf16, lt, lte, gt,
// gte, cidr, expand, fieldref, minute, hour, day, week, month, year. Conditions: or, and, not,
// parentheses, "N of", "all of", "any of" with "them" or a pattern; a list of conditions is or.
//
// # What is reported as unsupported
//
// Never silently ignored, always with a reason: unknown modifiers, regular expressions outside
// RE2 (look-around, back-references), placeholders without a table, aggregation after a pipe
// and "timeframe", correlation and filter documents, "action: global" collections, the
// status "unsupported". Rules with the status "deprecated" are reported as retired.
//
// # Choices where the specification leaves room
//
//   - Matching ignores case for all of Unicode, base64 forms included, unless "cased".
//   - Keywords match as substrings of the values, not of the names of fields.
//   - A field with several values matches when one of them does. "null" holds when the field is
//     absent, null, or an empty list or object; the empty string does not hold for an absent field.
//   - "neq" needs the field to be there, and all its values to differ from all given ones.
//   - "windash" exchanges every dash and slash of the value, wherever it stands.
//   - A number in a rule matches its own spelling and, if it was written in hexadecimal or
//     octal, its decimal spelling.
//   - Time modifiers read the numbers as written, epochs as UTC; "week" is the ISO week.
//   - A regular expression sees the first 64 KiB of a value.
//
// # Text forms
//
// Every text value is matched as it stands and, where they differ, in two more forms: with
// doubled backslashes collapsed and HTML entities decoded; and of that, without quotes, carets,
// backticks and string concatenation, with slices of well-known environment variables
// (%COMSPEC:~0,1%, $env:ComSpec[4,24,25]) replaced by their letters. One layer of an encoded
// PowerShell command (-EncodedCommand, FromBase64String) is decoded: substring matches,
// keywords and regular expressions on the field that carried it see the decoded text, and it is
// the value of the virtual field DecodedCommand when a field that holds commands carried it.
//
// # Speed
//
// Compile derives for each rule a set of literals of which one must occur if the rule is to
// match, and puts them into an index: whole values by field, substrings by their rarest
// four-byte window. One pass over the text of the fields that rules look at finds the candidates;
// only those are evaluated. Rules without such a set are evaluated whenever their log source fits.
// A window index was chosen over an Aho-Corasick automaton because it is a tenth of the memory
// for thousands of literals and stays in the processor's cache.
package sigma
