// Package token keeps the credentials of the public API: random bearer tokens of which only a
// hash is stored, each with a name, roles and a tenant.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Role is what a token may do (REFERENCE section 16).
type Role string

// The roles. Admin may do what SeniorAnalyst and Ingest may, SeniorAnalyst what Analyst may.
const (
	Analyst       Role = "analyst"
	SeniorAnalyst Role = "senior_analyst"
	Admin         Role = "admin"
	Ingest        Role = "ingest"
	AuditReader   Role = "audit_reader"
)

// Roles lists all roles.
func Roles() []Role { return []Role{Analyst, SeniorAnalyst, Admin, Ingest, AuditReader} }

// Local is the name under which the token of the person who runs the server is kept.
const Local = "local"

var (
	// ErrUnknown says that no stored token matches.
	ErrUnknown = errors.New("token: unknown token")
	// ErrInvalid says that a record cannot be made: its name, role or tenant.
	ErrInvalid = errors.New("token: invalid token record")
	// ErrExists says that the name is taken.
	ErrExists = errors.New("token: a token of this name exists")
	// ErrFile says that the file of tokens cannot be used; nobody is let in then.
	ErrFile = errors.New("token: file of tokens cannot be used")
)

// Record is one token as it is kept: without its secret.
type Record struct {
	Name    string    `json:"name"`
	Roles   []Role    `json:"roles"`
	Tenant  string    `json:"tenant"`
	Hash    string    `json:"sha256"` // of the token, in hex
	Created time.Time `json:"created_at"`
	// Actor is whom decisions are booked to; empty means Name.
	Actor string `json:"actor,omitempty"`
}

// Who is the name that decisions made with the token are booked to.
func (r *Record) Who() string {
	if r.Actor != "" {
		return r.Actor
	}
	return r.Name
}

// May reports whether the token has one of the roles, or one that includes it.
func (r *Record) May(roles ...Role) bool {
	for _, have := range r.Roles {
		for _, want := range roles {
			if have == want || have == Admin && (want == SeniorAnalyst || want == Analyst || want == Ingest) || have == SeniorAnalyst && want == Analyst {
				return true
			}
		}
	}
	return false
}

// Highest is the role that a decision is booked under.
func (r *Record) Highest() Role {
	for _, role := range []Role{Admin, SeniorAnalyst, Analyst, AuditReader, Ingest} {
		if slices.Contains(r.Roles, role) {
			return role
		}
	}
	return ""
}

func (r *Record) check() error {
	if r.Name == "" || len(r.Name) > 128 || strings.ContainsFunc(r.Name, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0xfffd }) {
		return fmt.Errorf("%w: a name has 1 to 128 bytes and no control characters", ErrInvalid)
	}
	if r.Tenant == "" {
		return fmt.Errorf("%w: a token belongs to a tenant", ErrInvalid)
	}
	if len(r.Roles) == 0 {
		return fmt.Errorf("%w: name at least one role of %v", ErrInvalid, Roles())
	}
	for _, role := range r.Roles {
		if !slices.Contains(Roles(), role) {
			return fmt.Errorf("%w: there is no role %q; use %v", ErrInvalid, role, Roles())
		}
	}
	return nil
}

// prefix lets people and scanners of repositories recognise a token.
const prefix = "alk_"

// generate makes a token of 256 random bits.
func generate(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	b := make([]byte, 32)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("token: no random bytes: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(b), nil
}

// hash is what is stored. Tokens have full entropy, so one round is enough.
func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
