package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/net/netutil"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/auth/mtls"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/doctor"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

type serveCmd struct {
	Target         []string `help:"Services to run in this process: all, or names of --list-targets separated by commas. Several processes need bus.brokers, store.url and services in the configuration." default:"all" placeholder:"NAME"`
	ListTargets    bool     `help:"Print the services and end."`
	Listen         string   `help:"Address of the API and the intake; overrides the configuration." placeholder:"HOST:PORT"`
	TLSCert        string   `help:"Certificate chain (PEM); needed for an address that others can reach." type:"existingfile" placeholder:"FILE"`
	TLSKey         string   `help:"Key of the certificate (PEM)." type:"existingfile" placeholder:"FILE"`
	InsecureListen bool     `help:"Allow an address that others can reach without TLS: tokens and alerts then travel in the clear."`
}

const (
	// drainWithin is how long requests and batches in work may take at the end.
	drainWithin = 30 * time.Second
	startWithin = 30 * time.Second
	watchEvery  = 10 * time.Second
	// verifyEvery and verifyTail are how often how many of the last audit records are checked.
	verifyEvery = time.Minute
	verifyTail  = 1000
	// minFree is the disk space below which no new alerts are taken.
	minFree = 128 << 20
)

// address checks where to listen. Without TLS only this machine may reach it.
func (c *serveCmd) address(e *env, mutual bool) (string, error) {
	addr := e.config.Listen
	if c.Listen != "" {
		addr = c.Listen
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return "", &usageError{"--tls-cert and --tls-key belong together"}
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", &usageError{fmt.Sprintf("--listen %q is not host:port: %v", addr, err)}
	}
	if c.TLSCert != "" && mutual {
		return "", &usageError{"--tls-cert and the section services of the configuration are two certificates for one address; use one"}
	}
	if c.TLSCert == "" && !mutual && !c.InsecureListen && !loopback(host) {
		return "", &usageError{fmt.Sprintf("%s can be reached from other machines: give --tls-cert and --tls-key, or --insecure-listen if something in front does TLS", addr)}
	}
	return addr, nil
}

// loopback reports whether an address stays on this machine; names other than localhost may
// resolve to anything.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Run serves until it is told to stop.
func (c *serveCmd) Run(e *env) error {
	if c.ListTargets {
		return listTargets(e)
	}
	began := time.Now()
	if err := app.CheckTargets(&e.config, c.Target); err != nil {
		return &usageError{err.Error()}
	}
	peers, err := c.peers(e)
	if err != nil {
		return err
	}
	addr, err := c.address(e, peers != nil)
	if err != nil {
		return err
	}
	s := &server{env: e, began: began, metrics: ops.NewRegistry(), health: ops.NewHealth(), peers: peers}
	s.processed = s.metrics.NewCounter("aluskort_entity_alerts_processed_total", "Alerts that have a durable verdict.", "source")
	s.verdicts = s.metrics.NewCounter("aluskort_verdicts_total", "Verdicts by classification, repeats included.", "classification")
	s.chain = s.metrics.NewGauge("aluskort_audit_chain_valid", "1 when the last check of the chain found nothing wrong.", "tenant_id", "check_type")
	s.metrics.RegisterProcess(began)
	if s.certificate, err = c.certificate(); err != nil {
		return err
	}
	n, err := app.Open(e.ctx, app.Options{Dir: e.config.State, Config: e.config, Targets: c.Target, Log: e.log, OnVerdict: s.decided})
	if err != nil {
		return err
	}
	s.node = n
	s.memory.Set(app.HeapBudget)
	defer s.memory.Lift()
	return errors.Join(s.run(addr), n.Close())
}

// peers is the identity of this process among the services. Several processes do without only
// where everything runs in one.
func (c *serveCmd) peers(e *env) (*mtls.Identity, error) {
	sv := e.config.Services
	whole := slices.Contains(c.Target, app.All)
	if whole && sv.CertFile == "" && sv.KeyFile == "" && sv.CAFile == "" {
		return nil, nil //nolint:nilnil // none is needed
	}
	cfg := identityOf(e)
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("services of several processes speak mutual TLS only; section services of the configuration: %w", err)
	}
	return mtls.Open(cfg)
}

func identityOf(e *env) mtls.Config {
	sv := e.config.Services
	return mtls.Config{
		CertFile: sv.CertFile, KeyFile: sv.KeyFile, CAFile: sv.CAFile, Allow: sv.Allow, Clock: clock.System{},
		OnTrouble: func(err error) { e.log.Error("certificates", "error", err) },
	}
}

func listTargets(e *env) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tevery service below, in one process\n", app.All)
	for _, t := range app.Targets() {
		fmt.Fprintf(w, "%s\t%s\n", t.Name, t.Does)
	}
	return w.Flush()
}

func (c *serveCmd) certificate() (*tls.Certificate, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &cert, nil
}

// server is one run of serve.
type server struct {
	env         *env
	began       time.Time
	node        *app.Node
	certificate *tls.Certificate
	peers       *mtls.Identity // nil where there are none
	metrics     *ops.Registry
	health      *ops.Health
	processed   *ops.Vec
	verdicts    *ops.Vec
	chain       *ops.Vec
	memory      ops.MemoryLimit
	trouble     atomic.Pointer[[]string] // what watch found last
}

func (s *server) decided(out []orchestrate.Outcome, _ int64) {
	for i := range out {
		s.processed.Add(1, out[i].Message.Alert.Source)
		s.verdicts.Add(1, string(out[i].Verdict))
	}
}

// run starts the services, then the network, and takes both down in the opposite order.
func (s *server) run(addr string) error {
	e := s.env
	if err := ensureLocalToken(e); err != nil {
		return err
	}
	a, err := s.node.NewAPI(tokens(e), s.peers, s.health, s.metrics)
	if err != nil {
		return err
	}
	services, stop := context.WithCancelCause(context.WithoutCancel(e.ctx))
	defer stop(nil)
	s.node.Observe(services, s.metrics)
	ended := make(chan error, 1)
	go func() {
		err := s.node.Run(services)
		stop(errors.Join(errors.New("services ended"), err))
		ended <- err
	}()
	err = s.serve(services, addr, a)
	stop(nil)
	select {
	case runErr := <-ended:
		return errors.Join(err, runErr)
	case <-time.After(drainWithin):
		return errors.Join(err, fmt.Errorf("services did not end within %s; what was in work is repeated at the next start", drainWithin))
	}
}

// serve listens once the consumers are open, and returns when the process is told to stop or
// the services end.
func (s *server) serve(services context.Context, addr string, a *api.API) (err error) {
	if err := s.awaitConsumers(services); err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w; choose another address with --listen", err)
	}
	address := l.Addr().String()
	l = netutil.LimitListener(l, api.MaxConnections)
	srv := a.Server()
	if s.certificate != nil {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*s.certificate}, NextProtos: []string{"http/1.1"}})
	}
	if s.peers != nil {
		l = tls.NewListener(l, s.peers.Server())
	}
	info := s.info(address)
	path := filepath.Join(s.env.config.State, serverFile)
	b, err := json.MarshalIndent(info, "", "  ")
	if err == nil {
		err = token.WriteFile(path, append(b, '\n'))
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go s.reload(services, hangups)
	s.health.Check("engines", s.engines)
	go s.watch(services)
	serving := make(chan error, 1)
	go func() { serving <- srv.Serve(l) }()
	s.health.Open()
	fmt.Fprintf(s.env.stdout, "aluskort serves %s, process %d, ready after %s; `aluskort token` prints the token\n",
		info.URL, info.PID, time.Since(s.began).Round(time.Millisecond))
	select {
	case <-s.env.ctx.Done():
		fmt.Fprintln(s.env.stderr, "stopping: no new work is taken, what is in work is finished")
	case <-services.Done():
		err = context.Cause(services)
	case err = <-serving:
	}
	s.health.Drain()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(services), drainWithin/2)
	defer cancel()
	if shutErr := srv.Shutdown(ctx); shutErr != nil {
		err = errors.Join(err, fmt.Errorf("some requests did not end in time: %w", shutErr), srv.Close())
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// reload reads files and taxonomy again at each hang-up, in this process alone: whoever changes
// files on several machines sends each process its own.
func (s *server) reload(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		got, err := s.node.Reload(ctx, osUser(s.env))
		if err != nil {
			s.env.log.Error("not reloaded; what was in force stays", "error", err)
			continue
		}
		s.env.log.Info("reloaded", "changed", got.Changed, "rules", got.Rules, "techniques", got.Techniques)
	}
}

// info describes the server to commands on this machine.
func (s *server) info(address string) serverInfo {
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	i := serverInfo{Address: address, PID: os.Getpid(), Started: s.began.UTC(), Version: version, URL: "http://" + net.JoinHostPort(host, port)}
	shown := s.certificate
	if s.peers != nil {
		shown = s.peers.Certificate()
	}
	if shown != nil {
		i.URL = "https://" + net.JoinHostPort(host, port)
		sum := sha256.Sum256(shown.Certificate[0])
		i.Certificate = hex.EncodeToString(sum[:])
	}
	return i
}

// awaitConsumers waits until every service reads its topic.
func (s *server) awaitConsumers(services context.Context) error {
	ctx, cancel := context.WithTimeout(services, startWithin)
	defer cancel()
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for {
		ok, err := s.node.Consuming(ctx)
		if ok {
			return nil
		}
		select {
		case <-s.env.ctx.Done():
			return nil // told to stop while starting
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("services did not start: %w", context.Cause(ctx)), err)
		case <-t.C:
		}
	}
}

// watch looks at the engines every few seconds, so that readiness tells what an idle intake
// would not notice, and tells when it is over.
func (s *server) watch(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	debug.FreeOSMemory() // what the start needed is not needed again
	for verified := (time.Time{}); ; {
		s.memory.Set(app.HeapBudget)
		found := s.look(ctx)
		s.trouble.Store(&found)
		if s.node.Audit != nil && time.Since(verified) >= verifyEvery {
			verified = time.Now()
			s.verify(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (s *server) look(ctx context.Context) (trouble []string) {
	ctx, cancel := context.WithTimeout(ctx, watchEvery/2)
	defer cancel()
	if err := s.node.Bus.Ping(ctx); err != nil && ctx.Err() == nil {
		s.env.log.Error("bus does not answer", "error", err)
		trouble = append(trouble, "the bus does not take a write")
	}
	if free, err := doctor.FreeBytes(s.env.config.State); err == nil && free < minFree {
		trouble = append(trouble, fmt.Sprintf("the disk of the state directory has %d MB left, %d are needed", free>>20, int64(minFree)>>20))
	}
	return trouble
}

// verify checks the end of every chain and says loudly when it is damaged.
func (s *server) verify(ctx context.Context) {
	tenants, err := s.node.Audit.Tenants(ctx)
	for _, t := range tenants {
		var rep audit.Report
		if rep, err = s.node.Audit.VerifyTail(ctx, t, verifyTail); err != nil {
			break
		}
		valid := 1.0
		if !rep.OK() {
			valid = 0
			s.env.log.Error("the audit chain is damaged", "tenant", t, "first bad record", rep.FirstBad, "findings", rep.Findings)
		}
		s.chain.Set(valid, t, "tail")
	}
	if err != nil && ctx.Err() == nil {
		s.env.log.Error("the audit chain cannot be checked", "error", err)
	}
}

// engines is the readiness check that reads what watch found.
func (s *server) engines() []string {
	if found := s.trouble.Load(); found != nil {
		return *found
	}
	return nil
}
