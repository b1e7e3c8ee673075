// Package eval measures the product on labelled data: how many attacks it misses and how many
// harmless alerts it escalates, with intervals and under controls that take away what a small
// set gives away (names, dates, order, neighbourhood, the words of a test kit); and how well it
// names techniques.
//
// It never hands a label to the product. The program under test is a Judge, a function that
// turns native records into verdicts; what changes records (renaming, moving in time, neutral
// words) are pure functions over native bytes.
package eval
