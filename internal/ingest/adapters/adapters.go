// Package adapters lists the sources that this build can read alerts from.
package adapters

import (
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/elastic"
	"github.com/aluskort/aluskort/internal/ingest/generic"
	"github.com/aluskort/aluskort/internal/ingest/sentinel"
	"github.com/aluskort/aluskort/internal/ingest/splunk"
	"github.com/aluskort/aluskort/internal/ingest/wazuh"
)

// All returns every built-in adapter, new, in the order in which equal claims are decided.
func All() []ingest.Adapter {
	return []ingest.Adapter{
		wazuh.New(),
		sentinel.New(),
		elastic.New(),
		splunk.New(),
		generic.Default(),
	}
}
