// Command aluskort is the whole product in one program: see `aluskort --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/aluskort/aluskort/internal/config"
)

// Exit codes.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitFindings = 3 // finished, with findings: rejected records, damage found
)

// errFindings ends a command with exitFindings after it has printed everything itself.
var errFindings = errors.New("finished with findings")

// cli is the command line.
type cli struct {
	Config string `help:"Configuration file (default: $ALUSKORT_CONFIG, else aluskort.yaml in the configuration folder of the user)." type:"path" placeholder:"FILE"`
	State  string `help:"State directory; overrides the configuration." type:"path" placeholder:"DIR"`
	Debug  bool   `help:"Log everything."`

	Demo        demoCmd        `cmd:"" help:"Tell two hours of alerts with an intrusion in them and show what becomes of them."`
	Investigate investigateCmd `cmd:"" help:"Investigate alerts from files in their native format and print the verdicts."`
	Serve       serveCmd       `cmd:"" help:"Run the server: intake, services and API in one process."`
	Ingest      ingestCmd      `cmd:"" help:"Offer alerts from files to the state directory, or to the server that runs on it."`
	Review      reviewCmd      `cmd:"" help:"Look at investigations and decide: approve, reject, conclude, confirm groups."`
	Intel       intelCmd       `cmd:"" help:"Import and list threat intelligence."`
	Taxonomy    taxonomyCmd    `cmd:"" help:"Import techniques of ATT&CK and ATLAS and say which are known."`
	Models      modelsCmd      `cmd:"" help:"Look at language models: providers, spending, fitness."`
	FP          fpCmd          `cmd:"" name:"fp" help:"Propose, approve and watch false-positive patterns; kill switches."`
	Priors      priorsCmd      `cmd:"" help:"List and refit the priors learned from people's verdicts."`
	Reload      reloadCmd      `cmd:"" help:"Make the running server read org.yaml, rules and taxonomy again."`
	Token       tokenCmd       `cmd:"" help:"Make, show and end tokens of the API."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the databases to the schema of this program."`
	Doctor      doctorCmd      `cmd:"" help:"Examine the installation and say how to mend what is wrong."`
	Bench       benchCmd       `cmd:"" help:"Measure the product on this machine."`
	Eval        evalCmd        `cmd:"" help:"Measure verdicts and techniques against labelled data."`
	Audit       auditCmd       `cmd:"" help:"Verify and export the audit trail."`
	Topics      topicsCmd      `cmd:"" help:"Create and list the topics of the bus."`
	DLQ         dlqCmd         `cmd:"" name:"dlq" help:"List and replay dead letters."`
	Assets      assetsCmd      `cmd:"" help:"Check what org.yaml says about the organisation."`
	ConfigCmd   configCmd      `cmd:"" name:"config" help:"Check and print the configuration."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// env is what a command may use of the world.
type env struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	config         config.Config
	// misconfigured is what is wrong with the configuration; only doctor runs with that.
	misconfigured error
	log           *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	stop()
	os.Exit(code)
}

// exited carries kong's wish to exit out of the parser.
type exited struct{ code int }

// run is the program as a function: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exited)
			if !ok {
				panic(p)
			}
			code = e.code
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("aluskort"),
		kong.Description("An autonomous SOC agent: alerts in, explained verdicts and a verifiable audit trail out."),
		kong.UsageOnError(), kong.Writers(stdout, stderr), kong.Exit(func(n int) { panic(exited{n}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return fail(stderr, err)
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		complain(stderr, err)
		fmt.Fprintln(stderr, "Try: aluskort --help")
		return exitUsage
	}
	e := &env{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv}
	if e.config, e.misconfigured = config.Load(c.Config, getenv); e.misconfigured != nil && kctx.Command() != "doctor" {
		return fail(stderr, e.misconfigured)
	}
	if c.State != "" {
		e.config.State = c.State
	}
	if c.Debug {
		e.config.Log.Level = "debug"
	}
	e.log = newLog(stderr, e.config.Log)
	if err := kctx.Run(e); err != nil {
		return exitCode(stderr, err)
	}
	return exitDone
}

func exitCode(stderr io.Writer, err error) int {
	if errors.Is(err, errFindings) {
		return exitFindings
	}
	var usage *usageError
	if errors.As(err, &usage) {
		complain(stderr, err)
		return exitUsage
	}
	return fail(stderr, err)
}

// usageError is a mistake in the call that the parser could not see.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func fail(stderr io.Writer, err error) int {
	complain(stderr, err)
	return exitFailed
}

// complain prints an error, line by line: it may quote what an attacker wrote.
func complain(w io.Writer, err error) {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = inert(lines[i], maxComplaint)
	}
	fmt.Fprintln(w, "aluskort:", strings.Join(lines, "\n"))
}

// maxComplaint bounds one line of an error, in characters.
const maxComplaint = 4000

func newLog(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
