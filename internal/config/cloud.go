//go:build cloud

package config

const cloudStores = true
