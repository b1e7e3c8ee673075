package taxonomy

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// atlasFile is the distribution file ATLAS.yaml of mitre-atlas/atlas-data.
type atlasFile struct {
	ID       string        `yaml:"id"`
	Version  string        `yaml:"version"`
	Matrices []atlasMatrix `yaml:"matrices"`
}

type atlasMatrix struct {
	Tactics []struct {
		ID   string `yaml:"id"`
		Name string `yaml:"name"`
	} `yaml:"tactics"`
	Techniques []struct {
		ID          string   `yaml:"id"`
		Name        string   `yaml:"name"`
		Description string   `yaml:"description"`
		Tactics     []string `yaml:"tactics"`
		Parent      string   `yaml:"subtechnique-of"`
	} `yaml:"techniques"`
}

// readYAML reads ATLAS.yaml. The file is bounded before it is parsed, and the parser bounds
// what aliases expand to.
func (b *Bundle) readYAML(br *bufio.Reader) error {
	text, err := io.ReadAll(io.LimitReader(br, maxYAML+1))
	if err != nil {
		return fmt.Errorf("taxonomy: read YAML: %w", err)
	}
	if len(text) > maxYAML {
		return fmt.Errorf("%w: YAML of more than %d bytes", ErrTooLarge, maxYAML)
	}
	var f atlasFile
	if err := yaml.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("taxonomy: read YAML: %w", err)
	}
	if f.ID != "ATLAS" {
		return fmt.Errorf("%w: YAML without id ATLAS", ErrUnknownFormat)
	}
	b.Part = string(ATLAS)
	if f.Version != "" && len(f.Version) < 40 {
		b.Version = f.Version
	}
	for i := range f.Matrices {
		if err := b.matrix(i, &f.Matrices[i]); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bundle) matrix(n int, m *atlasMatrix) error {
	names := make(map[string]string, len(m.Tactics))
	for _, t := range m.Tactics {
		names[t.ID] = slugOf(t.Name)
	}
	tactics := make(map[string][]string, len(m.Techniques))
	for _, t := range m.Techniques {
		for _, id := range t.Tactics {
			if name := names[id]; name != "" {
				tactics[t.ID] = append(tactics[t.ID], name)
			}
		}
	}
	for i, t := range m.Techniques {
		place := "matrices[" + strconv.Itoa(n) + "].techniques[" + strconv.Itoa(i) + "]"
		of := tactics[t.ID]
		if len(of) == 0 {
			of = tactics[t.Parent]
		}
		err := b.add(place, Technique{
			ID: t.ID, Name: strings.TrimSpace(t.Name), Tactics: append([]string(nil), of...),
			Description: cut(t.Description, maxDescription),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// slugOf makes the short name of a tactic: "AI Model Access" is "ai-model-access".
func slugOf(name string) string {
	return strings.Join(strings.Fields(strings.ToLower(name)), "-")
}
