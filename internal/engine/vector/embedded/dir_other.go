//go:build !unix

package embedded

// syncDir does nothing where folders cannot be synced.
func syncDir(string) error { return nil }
