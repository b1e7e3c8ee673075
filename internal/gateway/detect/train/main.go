// Command train finds the weights of the injection sensor.
//
//	go run ./internal/gateway/detect/train FILE... -o internal/gateway/detect/weights.bin
//
// The files are JSON lines of text, label and source. The samples that ship with the program
// are always added. The same files give the same bytes.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aluskort/aluskort/internal/gateway/detect"
	"github.com/aluskort/aluskort/internal/gateway/detect/labelled"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

func run(args []string, log io.Writer) error {
	var lines []labelled.Line
	out := ""
	for i := 0; i < len(args); i++ {
		if args[i] == "-o" && i+1 < len(args) {
			i++
			out = args[i]
			continue
		}
		more, err := read(args[i])
		if err != nil {
			return err
		}
		lines = append(lines, more...)
	}
	if out == "" {
		return errors.New("usage: train FILE... -o WEIGHTS")
	}
	m, err := detect.Train(labelled.WithCorpus(labelled.Samples(lines)), detect.DefaultRates())
	if err != nil {
		return err
	}
	b := m.Encode()
	fmt.Fprintf(log, "%d lines, %d bytes of weights\n", len(lines), len(b))
	return os.WriteFile(out, b, 0o600)
}

func read(path string) (lines []labelled.Line, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if lines, err = labelled.Read(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lines, nil
}
