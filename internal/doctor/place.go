package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/statedir"
)

// Configuration says what was found when the configuration was read: one finding for each mistake.
func Configuration(c config.Config, wrong error) Check {
	return Check{"configuration", func(context.Context) (out []Finding) {
		if wrong == nil {
			return ok("usable; state in %s, tenant %s", c.State, c.Tenant)
		}
		for _, line := range strings.Split(wrong.Error(), "\n") {
			out = append(out, fail("correct it; `aluskort config print` shows what is in force, defaults included", "%s", line)...)
		}
		return out
	}}
}

// StateDir checks that the directory exists, is private and has a known format, and tells who
// holds its lock.
func StateDir(root string) Check {
	return Check{"state directory", func(context.Context) []Finding {
		info, err := os.Stat(root)
		if errors.Is(err, fs.ErrNotExist) {
			return warn("`aluskort serve` makes it at its first start", "%s does not exist yet", root)
		}
		if err != nil {
			return fail("give the user who runs aluskort access to it", "%s", err)
		}
		if !info.IsDir() {
			return fail("choose another with --state", "%s is no directory", root)
		}
		var out []Finding
		if _, err := statedir.View(root); errors.Is(err, statedir.ErrNewer) {
			out = append(out, fail("use the newer program, or another directory", "%s", err)...)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			out = append(out, fail("restore the file FORMAT; it holds a number", "%s", err)...)
		}
		if open := openToOthers(root); len(open) > 0 {
			out = append(out, fail("chmod -R go-rwx "+root, "others on this machine may use: %s", strings.Join(open, ", "))...)
		}
		if len(out) == 0 {
			return ok("%s is private, format %d", root, statedir.Format)
		}
		return out
	}}
}

// openToOthers lists what is in the directory, at its top and among the keys, that the group or
// everybody may read or write.
func openToOthers(root string) (out []string) {
	names := []string{root}
	for _, pattern := range []string{filepath.Join(root, "*"), filepath.Join(root, "keys", "*"), filepath.Join(root, "db", "*")} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		names = append(names, found...)
	}
	for _, name := range names {
		info, err := os.Lstat(name)
		if err != nil || info.Mode()&fs.ModeSymlink != 0 {
			continue
		}
		// Below a private directory only secrets matter by themselves.
		secret := name == root || strings.Contains(name, string(filepath.Separator)+"keys"+string(filepath.Separator)) ||
			slices.Contains([]string{"token", "server.json", "keys"}, filepath.Base(name))
		if secret && permissionsMatter && info.Mode().Perm()&0o077 != 0 {
			out = append(out, name)
		}
	}
	return out
}

// Lock tells who uses the directory. It takes no lock and makes nothing.
func Lock(root string, alive func(pid int) bool) Check {
	return Check{"lock", func(context.Context) []Finding {
		b, err := os.ReadFile(filepath.Join(root, "LOCK"))
		if errors.Is(err, fs.ErrNotExist) {
			return ok("never used")
		}
		if err != nil {
			return fail("give the user who runs aluskort access to it", "%s", err)
		}
		pid := 0
		if _, err := fmt.Sscan(string(b), &pid); err != nil || pid <= 0 {
			return ok("free")
		}
		if alive(pid) {
			return ok("process %d has or had it last, and runs", pid)
		}
		return ok("free; process %d had it last", pid)
	}}
}

// Disk bounds: below the first the product stops taking alerts, below the second it is close.
const (
	diskFail = 128 << 20
	diskWarn = 2 << 30
)

// Disk checks the free space under the directory, or under the nearest one that exists.
func Disk(root string) Check {
	return Check{"disk", func(context.Context) []Finding {
		dir := root
		for {
			if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
				break
			}
			dir = filepath.Dir(dir)
		}
		free, err := FreeBytes(dir)
		const mend = "make room, or choose another directory with --state"
		switch {
		case err != nil:
			return warn("", "free space of %s cannot be told: %s", dir, err)
		case free < diskFail:
			return fail(mend, "%d MB free; new alerts are refused", free>>20)
		case free < diskWarn:
			return warn(mend, "%d MB free", free>>20)
		default:
			return ok("%d GB free", free>>30)
		}
	}}
}

// Clock checks that the machine's time can be right: not before the program was made, and not
// before the newest time that the state directory knows.
func Clock(clk clock.Clock, notBefore time.Time, root string) Check {
	return Check{"clock", func(context.Context) []Finding {
		now := clk.Now()
		const mend = "set the clock, and let it be kept by NTP: windows, deadlines and the audit trail need it"
		if now.Before(notBefore) {
			return fail(mend, "it says %s, which is before this program existed", now.Format(time.RFC3339))
		}
		newest := time.Time{}
		for _, name := range []string{"LOCK", "db/state.db", "db/audit.db"} {
			if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err == nil && info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
		if newest.Sub(now) > time.Minute {
			return fail(mend, "it says %s, but files here were written at %s", now.Format(time.RFC3339), newest.UTC().Format(time.RFC3339))
		}
		return ok("%s", now.Format(time.RFC3339))
	}}
}

// Address checks whether the API can listen. serving says that a server of this state
// directory runs, which then has the address.
func Address(address string, serving func() (pid int, running bool)) Check {
	return Check{"address", func(ctx context.Context) []Finding {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			if err := l.Close(); err != nil {
				return warn("", "%s", err)
			}
			return ok("%s is free", address)
		}
		if pid, running := serving(); running {
			return ok("%s is used by the running server, process %d", address, pid)
		}
		return fail("stop what uses it, or choose another with --listen", "%s", err)
	}}
}
