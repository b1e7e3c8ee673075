//go:build !cloud

package config

// cloudStores says whether this program holds the drivers of Google Cloud Storage and Azure.
const cloudStores = false
