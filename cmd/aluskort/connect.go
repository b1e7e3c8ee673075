package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/statedir"
)

// serverInfo is what a running server says of itself in server.json.
type serverInfo struct {
	URL     string    `json:"url"` // for clients on this machine
	Address string    `json:"address"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started_at"`
	Version string    `json:"version"`
	// Certificate is the SHA-256 of the certificate that the server shows, in hex.
	Certificate string `json:"certificate_sha256,omitempty"`
}

const (
	serverFile = "server.json"
	tokenFile  = "token"
	// answerWithin is how long a running server may take to show that it is there.
	answerWithin = 2 * time.Second
)

// connection is how a command reaches the API: through the server that holds the lock of the
// state directory, or on a node of its own.
type connection struct {
	client *api.Client
	node   *app.Node // nil when a server runs
}

// reach are the flags of commands that use the API.
type reach struct {
	TokenFile string `help:"File with the token to use when a server runs; the local one by default, or $ALUSKORT_TOKEN." type:"path" placeholder:"FILE"`
	Actor     string `help:"Who decides; the user of the system by default. A running server takes the name from the token."`
}

// query are the flags of commands that print what the API answers.
type query struct {
	JSON bool `name:"json" help:"Print JSON."`
	reach
}

// ask prints what put gets from the API: as JSON, or as show writes it for people.
func ask[T any](q *query, e *env, put func(context.Context, connection) (T, error), show func(io.Writer, *T) error) error {
	return q.withAPI(e, func(ctx context.Context, conn connection) error {
		got, err := put(ctx, conn)
		if err != nil {
			return usageOf(err)
		}
		if q.JSON {
			return printJSON(e.stdout, got)
		}
		return show(e.stdout, &got)
	})
}

// printJSON prints a value for programs, indented for people who look.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// settled waits, where no server runs, until what was changed has had its effect.
func (c *connection) settled(ctx context.Context) error {
	if c.node == nil {
		return nil
	}
	return c.node.Settled(ctx)
}

// usageOf makes a refusal of what the caller wrote a mistake in the call.
func usageOf(err error) error {
	var p *api.Problem
	if errors.As(err, &p) && p.Code == api.CodeInvalid {
		return &usageError{p.Detail}
	}
	return err
}

// withAPI runs fn with a connection to the API of the state directory.
func (r *reach) withAPI(e *env, fn func(context.Context, connection) error) error {
	return r.withAPIAs(e, func() (token.Record, error) { return r.owner(e), nil }, fn)
}

// withAPIAs is withAPI where owner says who works on the state directory itself.
func (r *reach) withAPIAs(e *env, owner func() (token.Record, error), fn func(context.Context, connection) error) error {
	w := &workspace{dir: e.config.State}
	err := w.run(e, func(ctx context.Context, n *app.Node) error {
		me, err := owner()
		if err != nil {
			return err
		}
		health := ops.NewHealth()
		a, err := n.NewAPI(noTokens{}, nil, health, ops.NewRegistry())
		if err != nil {
			return err
		}
		health.Open()
		return fn(ctx, connection{api.Direct(a, me), n})
	})
	if !errors.Is(err, statedir.ErrLocked) {
		return err
	}
	c, dialErr := r.dial(e)
	if dialErr != nil {
		return fmt.Errorf("%w; it does not answer: %w", err, dialErr)
	}
	return fn(e.ctx, connection{client: c})
}

// noTokens is for an API that no network reaches.
type noTokens struct{}

func (noTokens) Verify(string) (token.Record, error) { return token.Record{}, token.ErrUnknown }

// owner is whoever may read and write the state directory.
func (r *reach) owner(e *env) token.Record {
	return token.Record{
		Name: token.Local, Actor: cmp.Or(r.Actor, osUser(e)), Tenant: e.config.Tenant, Roles: []token.Role{token.Admin, token.Ingest, token.AuditReader},
	}
}

func osUser(e *env) string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(e.getenv("USER"), e.getenv("USERNAME"), token.Local)
}

// dial reaches the running server and makes sure that decisions will bear the right name.
func (r *reach) dial(e *env) (*api.Client, error) {
	info, err := readServerInfo(e.config.State)
	if err != nil {
		return nil, err
	}
	secret, err := r.secret(e)
	if err != nil {
		return nil, err
	}
	c := api.Dial(info.URL, secret, info.httpClient())
	ctx, cancel := context.WithTimeout(e.ctx, answerWithin)
	defer cancel()
	if err := c.Health(ctx); err != nil {
		return nil, fmt.Errorf("process %d at %s (%s): %w", info.PID, info.URL, filepath.Join(e.config.State, serverFile), err)
	}
	if r.Actor == "" {
		return c, nil
	}
	me, err := c.WhoAmI(ctx)
	if err != nil {
		return nil, err
	}
	if me.Actor != r.Actor {
		return nil, &usageError{fmt.Sprintf("a server runs and takes the name from the token, which says %q; give %s a token with `aluskort token create` and use --token-file", me.Actor, r.Actor)}
	}
	return c, nil
}

func (r *reach) secret(e *env) (string, error) {
	if s := e.getenv("ALUSKORT_TOKEN"); s != "" && r.TokenFile == "" {
		return s, nil
	}
	path := cmp.Or(r.TokenFile, filepath.Join(e.config.State, tokenFile))
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("no token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func readServerInfo(state string) (info serverInfo, err error) {
	path := filepath.Join(state, serverFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return info, fmt.Errorf("no server says where it is: %w", err)
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return info, fmt.Errorf("%s: %w", path, err)
	}
	return info, nil
}

// httpClient trusts the very certificate that server.json names, which only the owner of the
// state directory can write.
func (i *serverInfo) httpClient() *http.Client {
	t := &http.Transport{MaxIdleConnsPerHost: 4}
	if want, err := hex.DecodeString(i.Certificate); err == nil && len(want) > 0 {
		t.TLSClientConfig = &tls.Config{
			MinVersion:         tls.VersionTLS13,
			InsecureSkipVerify: true, //nolint:gosec // the certificate is compared below, whatever names it has
			VerifyConnection: func(cs tls.ConnectionState) error {
				if len(cs.PeerCertificates) > 0 {
					if got := sha256.Sum256(cs.PeerCertificates[0].Raw); bytes.Equal(got[:], want) {
						return nil
					}
				}
				return errors.New("the server shows another certificate than " + serverFile + " names")
			},
		}
	}
	return &http.Client{Transport: t}
}

// tokens opens the file of tokens of the state directory.
func tokens(e *env) *token.Store {
	path := cmp.Or(e.config.Tokens, filepath.Join(e.config.State, token.File))
	return token.Open(path, clock.System{}, nil)
}

// ensureLocalToken makes sure that the file token holds a working token of the local owner. Where
// processes share a file of tokens, there is none: whoever keeps the file decides who gets one.
func ensureLocalToken(e *env) error {
	if e.config.Tokens != "" {
		return nil
	}
	path := filepath.Join(e.config.State, tokenFile)
	if b, err := os.ReadFile(path); err == nil {
		if rec, err := tokens(e).Verify(strings.TrimSpace(string(b))); err == nil && rec.Name == token.Local {
			return nil
		}
	}
	_, err := rotateLocalToken(e)
	return err
}

// rotateLocalToken makes a new local token; the one before ends.
func rotateLocalToken(e *env) (string, error) {
	rec := (&reach{}).owner(e)
	secret, err := tokens(e).Replace(rec)
	if err != nil {
		return "", err
	}
	return secret, token.WriteFile(filepath.Join(e.config.State, tokenFile), []byte(secret+"\n"))
}
