package vault

import (
	"os"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
