package config

import (
	"strings"
	"testing"
)

// Both cloud stores can be written, printed and read again; a program that lacks their drivers
// refuses them and says how to build one that has them.
func TestCloudStores(t *testing.T) {
	for key, text := range map[string]string{
		"objects.gcs":   "objects: {gcs: {bucket: evidence, prefix: soc}}",
		"objects.azure": "objects: {azure: {account: acme, container: evidence, domain: blob.core.chinacloudapi.cn}}",
	} {
		c := Default()
		if err := c.Decode([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if !c.Objects.Elsewhere() {
			t.Errorf("%s: not taken for a store elsewhere", key)
		}
		err := c.Check()
		if cloudStores && err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if !cloudStores && (err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "go build -tags cloud ./cmd/aluskort")) {
			t.Errorf("%s without the drivers: %v", key, err)
		}
		printed, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again := Default()
		if err := again.Decode(printed); err != nil || again.Objects != c.Objects {
			t.Errorf("%s: printed and read again it is %+v, %v", key, again.Objects, err)
		}
	}
}

func TestObjects(t *testing.T) {
	for text, want := range map[string]string{
		"objects: {dir: /srv/objects, gcs: {bucket: a}}":                                   "objects.dir: is set beside objects.gcs.bucket; use one of them",
		"objects: {s3: {endpoint: 'https://s3.example.org', bucket: a}, gcs: {bucket: b}}": "objects.s3.bucket: is set beside objects.gcs.bucket",
		"objects: {azure: {container: evidence}}":                                          "objects.azure: names a container without its account",
		"objects: {gcs: {bucket: a, credentials_file: /does/not/exist}}":                   "objects.gcs.credentials_file",
		"objects: {azure: {account: a, container: b, key_file: /does/not/exist}}":          "objects.azure.key_file",
		"objects: {queue_mb: -1}":                                                          "objects.queue_mb: -1",
	} {
		c := Default()
		if err := c.Decode([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
