package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aluskort/aluskort/internal/engine/bus"
)

// Empty removes every record of the table's topics from a cluster of the tests, so that an
// installation with a new database does not begin with what another test left there.
func Empty(t testing.TB, brokers ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var names []string
	for _, topic := range bus.Topics() {
		names = append(names, topic.Name)
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		t.Fatal(err)
	}
	cut := kadm.Offsets{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			cut.Add(kadm.Offset{Topic: o.Topic, Partition: o.Partition, At: o.Offset})
		}
	})
	if len(cut) == 0 {
		return
	}
	done, err := admin.DeleteRecords(ctx, cut)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}
