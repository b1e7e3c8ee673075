//go:build lean

package models

import (
	"context"
	"errors"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
)

const hasOpenAI = false

// openaiProvider refuses: a lean build leaves out the vendor's SDK, which is a third of the program
// and takes minutes to build with the instruments of the fuzzer.
func openaiProvider(*Endpoint, func(context.Context) (string, error), clock.Clock) (llm.Provider, error) {
	return nil, errors.New("models.provider openai: this program was built lean (-tags lean), without that provider; use a full build")
}
