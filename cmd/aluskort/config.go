package main

import "fmt"

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say whether the configuration is usable."`
	Print configPrintCmd `cmd:"" help:"Print the configuration in force, defaults and environment included."`
}

type configCheckCmd struct{}

// Run says that the configuration is usable: it was checked when it was loaded.
func (configCheckCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.stdout, "configuration is usable")
	return err
}

type configPrintCmd struct{}

// Run prints the configuration as YAML.
func (configPrintCmd) Run(e *env) error {
	b, err := e.config.YAML()
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(b)
	return err
}
