package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/audit"
)

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Verify the chain of a tenant, or of an exported file."`
	Export auditExportCmd `cmd:"" help:"Write the chain of a tenant as a file that anyone can verify."`
}

type auditVerifyCmd struct {
	File   string `arg:"" optional:"" help:"Exported file; without one, the chains of the state directory are verified." type:"existingfile"`
	Tenant string `help:"Only this tenant's chain."`
	Head   string `help:"Hash of a head that you trust, from elsewhere: finds a cut tail and a chain that was replaced whole."`
	Seq    int64  `help:"Sequence number of the trusted head." default:"-1"`
	JSON   bool   `name:"json" help:"Print the reports as JSON."`
}

func (c *auditVerifyCmd) trusted() (*audit.Head, error) {
	if c.Head == "" {
		return nil, nil
	}
	h := &audit.Head{Sequence: c.Seq}
	if err := h.Hash.UnmarshalText([]byte(c.Head)); err != nil || c.Seq < 0 {
		return nil, &usageError{"--head is the 64 hexadecimal digits of a record hash, with --seq its number"}
	}
	return h, nil
}

// Run verifies and says what kind of damage there is, if any.
func (c *auditVerifyCmd) Run(e *env) (err error) {
	trusted, err := c.trusted()
	if err != nil {
		return err
	}
	if c.File != "" {
		return c.file(e, trusted)
	}
	r, err := app.OpenAudit(e.ctx, &e.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	tenants := []string{c.Tenant}
	if c.Tenant == "" {
		if tenants, err = r.Service.Tenants(e.ctx); err != nil {
			return err
		}
	}
	if len(tenants) == 0 {
		_, err := fmt.Fprintln(e.stdout, "no chain yet: nothing has been recorded in", e.config.State)
		return err
	}
	bad := false
	for _, t := range tenants {
		var heads []audit.Head
		if trusted != nil {
			heads = append(heads, *trusted)
		}
		rep, err := r.Service.Verify(e.ctx, t, heads...)
		if err != nil {
			return err
		}
		if err := c.print(e.stdout, &rep); err != nil {
			return err
		}
		bad = bad || !rep.OK()
	}
	if bad {
		return errFindings
	}
	return nil
}

func (c *auditVerifyCmd) file(e *env, trusted *audit.Head) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	_, rep, err := audit.VerifyExport(bufio.NewReaderSize(f, 1<<20), trusted)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := c.print(e.stdout, &rep); err != nil {
		return err
	}
	if !rep.OK() {
		return errFindings
	}
	return nil
}

func (c *auditVerifyCmd) print(w io.Writer, rep *audit.Report) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(rep)
	}
	word := "chain verified"
	if !rep.OK() {
		word = fmt.Sprintf("DAMAGED, first at record %d", rep.FirstBad)
	}
	if _, err := fmt.Fprintf(w, "%s: %d records, head %d %s: %s\n", rep.Tenant, rep.Records, rep.Head.Sequence, rep.Head.Hash, word); err != nil {
		return err
	}
	for _, f := range rep.Findings {
		if _, err := fmt.Fprintf(w, "  %s\n", f); err != nil {
			return err
		}
	}
	return nil
}

type auditExportCmd struct {
	Tenant string `help:"Tenant; the configured one by default."`
	From   int64  `help:"First record." default:"0"`
	To     int64  `help:"Last record; -1 means the head." default:"-1"`
	Out    string `short:"o" help:"File to write; standard output by default." type:"path"`
}

// Run writes the export.
func (c *auditExportCmd) Run(e *env) (err error) {
	if c.Tenant == "" {
		c.Tenant = e.config.Tenant
	}
	r, err := app.OpenAudit(e.ctx, &e.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	out := e.stdout
	if c.Out != "" {
		f, err2 := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err2 != nil {
			return err2
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		out = f
	}
	w := bufio.NewWriterSize(out, 1<<20)
	return errors.Join(r.Service.Export(e.ctx, c.Tenant, w, c.From, c.To), w.Flush())
}
