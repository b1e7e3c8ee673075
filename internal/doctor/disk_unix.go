//go:build unix

package doctor

import (
	"errors"

	"golang.org/x/sys/unix"
)

// permissionsMatter says that files have owner, group and others.
const permissionsMatter = true

// FreeBytes is the space that an ordinary user may still fill on the file system of dir.
func FreeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}

// Alive reports whether a process exists.
func Alive(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}
