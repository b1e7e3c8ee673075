// Package taxonomy is what techniques exist: ids and names of MITRE ATT&CK and MITRE ATLAS,
// which of them are deprecated or revoked and by what they were replaced.
//
// A compact table ships with the program, so that ids can be checked without an import.
// "taxonomy import" reads MITRE's own files into SQL, and Load lays what was imported over the
// shipped table. An id that is in neither is quarantined: shown, recorded, never acted on.
//
// The shipped table holds facts taken from ATT&CK and ATLAS:
//
//	© 2025 The MITRE Corporation. This work is reproduced and distributed with the permission
//	of The MITRE Corporation.
package taxonomy

//go:generate go run ./gen -out techniques.tsv -attack-version 18.1 $ATTACK_ENTERPRISE $ATTACK_ICS $ATLAS_YAML
