package gateway

import (
	"slices"

	"github.com/aluskort/aluskort/internal/gateway/detect"
)

// ScreenWith screens texts with an injection sensor: what steers is summarised away without a
// visible mark, and of a text that is put aside nothing is quoted.
func ScreenWith(d *detect.Detector) func(string) Screening {
	return func(text string) Screening {
		f := d.Field(text)
		s := Screening{Text: text, Injected: f.Action != detect.Pass, Hidden: f.Action == detect.Quarantine}
		if !s.Injected {
			if f.Hidden {
				s.Text = f.Canonical // what a reader does not see, a model need not read
			}
			return s
		}
		s.Text, s.Canonical = detect.Neutral, f.Canonical
		if !s.Hidden {
			s.Text = detect.Summarise(text, f)
		}
		for _, h := range f.Hits {
			if !slices.Contains(s.Kinds, h.Kind) {
				s.Kinds = append(s.Kinds, h.Kind)
			}
		}
		if len(s.Kinds) == 0 {
			s.Kinds = []string{"language"}
		}
		return s
	}
}
