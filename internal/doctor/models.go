package doctor

import "context"

// ModelReport is what a probe of the configured models showed.
type ModelReport struct {
	// Provider is empty when none is configured.
	Provider string
	// Unfit names models that must not be asked, with the reason; Fit those that may.
	Fit   []string
	Unfit map[string]string
	// Notes are what the table of models says about prices and ends of life.
	Notes []string
	// Probed says that the models were asked; without it only the configuration was read.
	Probed bool
}

// Models checks the configured language models. No model configured is a choice.
func Models(probe func(context.Context) (ModelReport, error)) Check {
	return Check{Name: "models", Run: func(ctx context.Context) []Finding {
		r, err := probe(ctx)
		switch {
		case err != nil:
			return fail("correct models in the configuration (docs/models.md); without a provider verdicts stay deterministic", "%v", err)
		case r.Provider == "":
			return ok("none configured: verdicts are deterministic")
		}
		var out []Finding
		for name, why := range r.Unfit {
			out = append(out, fail("choose another model, or take models.provider out of the configuration", "%s is not fit: %s", name, why)...)
		}
		for _, note := range r.Notes {
			out = append(out, warn("state it in models.table", "%s", note)...)
		}
		switch {
		case len(out) > 0:
			return out
		case !r.Probed:
			return warn("run aluskort doctor --models, or aluskort models probe", "%s is configured and was not asked", r.Provider)
		}
		return ok("%d models of %s are fit", len(r.Fit), r.Provider)
	}}
}
