// Package intel is threat intelligence: indicators of compromise read from the formats in
// which they are published, kept in the table threat_intel_iocs, and looked up for every
// alert in an immutable index in memory.
//
// Readers take CSV and plain lists, MISP events, STIX 2.0 and 2.1 bundles and the CISA KEV
// catalogue, recognised by content. A bad row is refused with its place and the reason and
// never stops an import. Values are stored in one canonical form (see Parse), so that what a
// feed writes and what an alert names meet.
//
// Confidence runs from 0 to 100 and is what the feed states; otherwise:
//
//	plain value, STIX indicator     Options.Confidence, 50 by default
//	list with a count of sources    1: 30, 2: 45, 3: 60, 4: 70, 5: 75, 6: 80, 7: 85, 8 and more: 90
//	MISP attribute                  50; to_ids +25, otherwise -10; threat level high +10, low -10;
//	                                a misp:confidence-level tag replaces all of it
//	STIX observable, or a condition
//	that holds only with others     at most 40
//	KEV                             90
//	path, registry key, user agent  at most 70, whatever the feed: anyone can write them
//
// Indicators live as long as the feed says, or 30 days above 80, 7 days from 50, and 24 hours
// below that, counted from the import that brought them last.
package intel
